import { Post } from '../likes/post.ts';
import { nextLike } from '../likes/stock.ts';
import { PERSISTENT, type Strategy } from '../likes/strategy.ts';

/**
 * Relies on the version being unchanged at the write, which MikroORM checks in the UPDATE's WHERE, and on a retry that
 * reads again. Breaks when a code path writes without raising the version; slows down under contention,
 * because all but one of the colliding attempts are wasted.
 */
export const optimistic: Strategy = {
  name: 'optimistic',
  summary: 'Writes only if the version is still the one that was read, and otherwise retries.',
  claim: 'exact',
  attempts: PERSISTENT,
  async increment(em, pk) {
    const post = await em.findOneOrFail(Post, pk);
    post.like = nextLike(post);
    await em.flush();
    return post.like;
  },
};

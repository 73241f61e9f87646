import { Post } from './post.ts';
import { PERSISTENT, type Strategy } from './strategy.ts';

/**
 * Relies on the version that was read being still there at the write, which MikroORM puts into the UPDATE's WHERE,
 * and on a retry that reads again. Breaks when a path writes without touching the version; slows down with
 * contention, since all but one of those who collide have worked for nothing.
 */
export const optimistic: Strategy = {
  name: 'optimistic',
  summary: 'Writes only if the version is still the one that was read, and otherwise starts again.',
  claim: 'exact',
  attempts: PERSISTENT,
  async increment(em, pk) {
    const post = await em.findOneOrFail(Post, pk);
    post.like += 1;
    await em.flush();
    return post.like;
  },
};

import { Post } from '../likes/post.ts';
import { nextLike } from '../likes/stock.ts';
import type { Strategy } from '../likes/strategy.ts';

/** Relies on no other session writing between its read and its write; loses likes when two callers increment at once. */
export const unsafe: Strategy = {
  name: 'unsafe',
  summary: 'Reads the likes, adds 1 in memory and writes the sum, and so overwrites concurrent writes.',
  claim: 'loses',
  attempts: 1,
  async increment(em, pk) {
    const like = nextLike(await em.findOneOrFail(Post, pk));
    await em.nativeUpdate(Post, pk, { like, modifiedAt: new Date() });
    return like;
  },
};

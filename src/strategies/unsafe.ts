import { Post } from './post.ts';
import type { Strategy } from './strategy.ts';

/** Relies on nobody writing between its read and its write; loses likes as soon as two do it at once. */
export const unsafe: Strategy = {
  name: 'unsafe',
  summary:
    'Reads the likes, adds 1 in memory, writes the sum: whatever was written in between is overwritten.',
  claim: 'loses',
  attempts: 1,
  async increment(em, pk) {
    const { like } = await em.findOneOrFail(Post, pk);
    await em.nativeUpdate(Post, pk, { like: like + 1, modifiedAt: new Date() });
    return like + 1;
  },
};

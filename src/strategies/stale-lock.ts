import { LockMode } from '@mikro-orm/core';
import { Post } from '../likes/post.ts';
import { nextLike } from '../likes/stock.ts';
import type { Strategy } from '../likes/strategy.ts';

/**
 * Relies on a lock that it takes too late: the entity was read before, and `em.lock` does not read it again. The
 * increment waits for the lock and then writes a value from before the wait.
 */
export const staleLock: Strategy = {
  name: 'stale-lock',
  summary: 'Reads, then locks, then writes a sum based on the value that it read before the lock.',
  claim: 'loses',
  attempts: 1,
  async increment(em, pk) {
    const post = await em.findOneOrFail(Post, pk);
    return em.transactional(async (tx) => {
      await tx.lock(post, LockMode.PESSIMISTIC_WRITE);
      const like = nextLike(post);
      await tx.nativeUpdate(Post, pk, { like, modifiedAt: new Date() });
      return like;
    });
  },
};

import { LockMode } from '@mikro-orm/core';
import { codeOf } from '../errors/caught.ts';
import { Post } from '../likes/post.ts';
import { nextLike } from '../likes/stock.ts';
import type { Strategy } from '../likes/strategy.ts';

/**
 * Relies on the row lock as `pessimistic` does, but never waits for it: a caller that finds the row locked retries a
 * few times and is then refused. No queue builds up behind a lock holder that stalls, but under contention many
 * callers are refused.
 */
export const pessimisticNowait: Strategy = {
  name: 'pessimistic-nowait',
  summary: 'Locks the row if it is free (FOR UPDATE NOWAIT), and otherwise retries a few times.',
  claim: 'rejects',
  attempts: 4,
  // lock_not_available: for other statements a lock timeout, for NOWAIT the answer that the row is locked.
  conflict: (error) => codeOf(error) === '55P03',
  increment: (em, pk) =>
    em.transactional(async (tx) => {
      const post = await tx.findOneOrFail(Post, pk, { lockMode: LockMode.PESSIMISTIC_WRITE_OR_FAIL });
      const like = nextLike(post);
      await tx.nativeUpdate(Post, pk, { like, modifiedAt: new Date() });
      return like;
    }),
};

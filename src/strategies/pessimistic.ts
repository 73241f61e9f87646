import { LockMode } from '@mikro-orm/core';
import { Post } from '../posts/post.ts';
import { PERSISTENT, type Strategy } from './strategy.ts';

/**
 * Relies on the row lock, taken by the read itself and held to the commit: the others wait their turn. Breaks when
 * one path that writes forgets to lock, and stalls when a holder stalls: a lock timeout is part of it.
 */
export const pessimistic: Strategy = {
  name: 'pessimistic',
  summary: 'Locks the row while reading it (SELECT … FOR UPDATE) and holds the lock until the commit.',
  claim: 'exact',
  // At repeatable read and above, a row that changed after our snapshot cannot be locked: 40001.
  attempts: PERSISTENT,
  increment: (em, pk) =>
    em.transactional(async (tx) => {
      const { like } = await tx.findOneOrFail(Post, pk, { lockMode: LockMode.PESSIMISTIC_WRITE });
      await tx.nativeUpdate(Post, pk, { like: like + 1, modifiedAt: new Date() });
      return like + 1;
    }),
};

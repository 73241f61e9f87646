import { IsolationLevel } from '@mikro-orm/core';
import { Post } from './post.ts';
import type { Strategy } from './strategy.ts';

/** Any number that says what these locks are for: the post's key is the other half. */
const LIKES = 1_318_902_001;

/**
 * Relies on everybody asking for the same lock, which is tied to nothing but a number. Breaks when one path does not
 * ask, and above read committed, where the snapshot may be older than the lock.
 */
export const advisoryLock: Strategy = {
  name: 'advisory-lock',
  summary: 'Takes an advisory lock named after the post, then reads and writes as if it were alone.',
  claim: 'exact',
  attempts: 1,
  increment: (em, pk) =>
    em.transactional(
      async (tx) => {
        await tx.execute('select pg_advisory_xact_lock(?, ?)', [LIKES, pk]);
        const { like } = await tx.findOneOrFail(Post, pk);
        await tx.nativeUpdate(Post, pk, { like: like + 1, modifiedAt: new Date() });
        return like + 1;
      },
      { isolationLevel: IsolationLevel.READ_COMMITTED },
    ),
};

import { IsolationLevel } from '@mikro-orm/core';
import { Post } from '../likes/post.ts';
import { nextLike } from '../likes/stock.ts';
import type { Strategy } from '../likes/strategy.ts';

/** An arbitrary number that identifies this kind of lock; the post's key is the other half. */
const LIKES = 1_318_902_001;

/**
 * Relies on every writer taking the same lock, which exists only by convention: it is a number, not a row. Breaks when
 * one code path does not take it, and above READ COMMITTED, where the snapshot may be older than the lock.
 */
export const advisoryLock: Strategy = {
  name: 'advisory-lock',
  summary: 'Takes an advisory lock for the post, then reads, adds and writes while holding it.',
  claim: 'exact',
  attempts: 1,
  increment: (em, pk) =>
    em.transactional(
      async (tx) => {
        await tx.execute('select pg_advisory_xact_lock(?, ?)', [LIKES, pk]);
        const like = nextLike(await tx.findOneOrFail(Post, pk));
        await tx.nativeUpdate(Post, pk, { like, modifiedAt: new Date() });
        return like;
      },
      { isolationLevel: IsolationLevel.READ_COMMITTED },
    ),
};

import { IsolationLevel } from '@mikro-orm/core';
import { Post } from '../likes/post.ts';
import { nextLike } from '../likes/stock.ts';
import { PERSISTENT, type Strategy } from '../likes/strategy.ts';

/**
 * Relies on snapshots: a row that another transaction changed after the snapshot cannot be overwritten, and the UPDATE
 * fails with 40001. Breaks without the retry, and at any lower level.
 */
export const repeatableRead: Strategy = {
  name: 'repeatable-read',
  summary: 'Reads and writes in a REPEATABLE READ transaction, and retries when it is refused (40001).',
  claim: 'exact',
  attempts: PERSISTENT,
  increment: (em, pk) =>
    em.transactional(
      async (tx) => {
        const like = nextLike(await tx.findOneOrFail(Post, pk));
        await tx.nativeUpdate(Post, pk, { like, modifiedAt: new Date() });
        return like;
      },
      { isolationLevel: IsolationLevel.REPEATABLE_READ },
    ),
};

import { IsolationLevel } from '@mikro-orm/core';
import { Post } from '../likes/post.ts';
import { nextLike } from '../likes/stock.ts';
import { PERSISTENT, type Strategy } from '../likes/strategy.ts';

/**
 * Relies on the database, which refuses transactions whose result no serial order could produce, for one row or many.
 * Breaks without the retry, because refusals (40001) are normal at this level.
 */
export const serializable: Strategy = {
  name: 'serializable',
  summary: 'Reads and writes in a SERIALIZABLE transaction, and retries when it is refused (40001).',
  claim: 'exact',
  attempts: PERSISTENT,
  increment: (em, pk) =>
    em.transactional(
      async (tx) => {
        const like = nextLike(await tx.findOneOrFail(Post, pk));
        await tx.nativeUpdate(Post, pk, { like, modifiedAt: new Date() });
        return like;
      },
      { isolationLevel: IsolationLevel.SERIALIZABLE },
    ),
};

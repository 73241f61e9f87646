import { IsolationLevel } from '@mikro-orm/core';
import { Post } from './post.ts';
import { PERSISTENT, type Strategy } from './strategy.ts';

/**
 * Relies on the database to refuse whatever could not have happened one after another, be it one row or many. Breaks
 * without the retry: a refusal (40001) is not the exception, it is how the level works.
 */
export const serializable: Strategy = {
  name: 'serializable',
  summary: 'Reads and writes in a SERIALIZABLE transaction, and starts again when it was refused (40001).',
  claim: 'exact',
  attempts: PERSISTENT,
  increment: (em, pk) =>
    em.transactional(
      async (tx) => {
        const { like } = await tx.findOneOrFail(Post, pk);
        await tx.nativeUpdate(Post, pk, { like: like + 1, modifiedAt: new Date() });
        return like + 1;
      },
      { isolationLevel: IsolationLevel.SERIALIZABLE },
    ),
};

import type { EntityManager } from '@mikro-orm/postgresql';
import { endingOf, likesOf } from '../outcome.ts';
import { newPostClass } from '../post-table.ts';
import type { Scratch } from '../scratch.ts';
import { experimentOf } from './trap.ts';

/** A transaction writes a post, then tries something that fails, and goes on without it. */
async function tryWithin(scratch: Scratch, attempt: (tx: EntityManager) => Promise<unknown>) {
  const Post = newPostClass();
  const work = scratch
    .orm([Post])
    .em.fork()
    .transactional(async (tx) => {
      await tx.nativeUpdate(Post, 1, { like: 1 });
      await attempt(tx).catch(() => {});
    });
  return { transaction: await endingOf(work), like: (await likesOf(scratch.outside))[0] };
}

export const silentRollback = experimentOf({
  name: 'silent-rollback',
  claim:
    'A transaction in which the error of a statement was caught reports success, although the server answered its commit with ROLLBACK: nothing of it was written.',
  expectation: 'A commit that did not commit is an error.',
  guard:
    'What may fail runs in a nested transaction, a savepoint; no other error is caught inside of a transaction.',
  async fallInto(scratch) {
    const figures = await tryWithin(scratch, (tx) => tx.execute('select 1 / 0'));
    return { seen: figures.transaction === 'done' && figures.like === 0, figures };
  },
  async avoid(scratch) {
    const figures = await tryWithin(scratch, (tx) =>
      tx.transactional((nested) => nested.execute('select 1 / 0')),
    );
    return { seen: figures.transaction === 'done' && figures.like === 1, figures };
  },
});

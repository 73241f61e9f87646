import type { EntityManager } from '@mikro-orm/postgresql';
import type { PostgresPool } from 'kysely';
import { endingOf, likesOf } from '../bench/outcome.ts';
import { newPostClass } from '../bench/post-table.ts';
import { barePool } from '../bench/bare-pool.ts';
import type { Scratch, ScratchPool } from '../bench/scratch.ts';
import { experimentOf } from './trap.ts';

/** A transaction writes a post, catches the error of a failing statement, and continues. */
async function tryWithin(
  scratch: Scratch,
  poolOf: (pool: ScratchPool) => PostgresPool,
  attempt: (tx: EntityManager) => Promise<unknown>,
) {
  const Post = newPostClass();
  const { em } = scratch.ormOver(poolOf(scratch.pool({})), [Post]);
  const work = em.fork().transactional(async (tx) => {
    await tx.nativeUpdate(Post, 1, { like: 1 });
    await attempt(tx).catch(() => {});
  });
  return { transaction: await endingOf(work), like: (await likesOf(scratch.outside))[0] };
}

const failing = (tx: EntityManager) => tx.execute('select 1 / 0');
const failingInside = (tx: EntityManager) => tx.transactional(failing);

const guarded = ({ sessions }: ScratchPool) => sessions;

export const silentRollback = experimentOf({
  name: 'silent-rollback',
  claim:
    'A transaction in which the error of a statement was caught reports success, although the server answered its COMMIT with ROLLBACK: nothing was written.',
  expectation: 'A commit that is answered with ROLLBACK throws an error.',
  guard:
    'src/database/guarded-connection.ts turns such a commit into an error. Statements that may fail run in a nested transaction, a savepoint.',
  cure: `
// Where the driver's answers are received:
const { command } = await client.query(sql, parameters);
if (command === 'ROLLBACK' && isCommit.test(sql)) throw new Error(sql);

// A savepoint lets the transaction survive a statement that fails.
await tx.transactional((inner) => mayFail(inner)).catch(() => {});`,
  async fallInto(scratch) {
    const bare = ({ pool }: ScratchPool) => barePool(pool, scratch.timeline.observe('pool'));
    const figures = await tryWithin(scratch, bare, failing);
    return { seen: figures.transaction === 'done' && figures.like === 0, figures };
  },
  async avoid(scratch) {
    const caught = await tryWithin(scratch, guarded, failing);
    const nested = await tryWithin(scratch, guarded, failingInside);
    const seen =
      caught.transaction !== 'done' &&
      caught.like === 0 &&
      nested.transaction === 'done' &&
      nested.like === 1;
    return { seen, figures: { caught, nested } };
  },
});

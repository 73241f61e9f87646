import type { PostgresPool } from 'kysely';
import { barePool } from '../bench/bare-pool.ts';
import { endingOf } from '../bench/outcome.ts';
import { newPostClass } from '../bench/post-table.ts';
import type { Scratch, ScratchPool } from '../bench/scratch.ts';
import { experimentOf } from './trap.ts';

/** The server ends a connection inside a transaction, as idle_in_transaction_session_timeout does. */
async function endedByServer(scratch: Scratch, poolOf: (pool: ScratchPool) => PostgresPool) {
  const pool = scratch.pool({ limits: { POOL_MAX: 1 } });
  const { em } = scratch.ormOver(poolOf(pool), [newPostClass()]);
  const transaction = em.fork().transactional(async (tx) => {
    const [row] = await tx.execute<{ pid: number }[]>('select pg_backend_pid() as pid');
    await scratch.outside.query('select pg_terminate_backend($1)', [row?.pid]);
    await tx.execute('select 1');
  });
  const end = await endingOf(transaction);
  await scratch.observer.until((backends) => backends.length === 0);
  return { transaction: end, lent_for_ever: pool.pool.totalCount - pool.pool.idleCount };
}

export const leakedConnection = experimentOf({
  name: 'leaked-connection',
  claim:
    'A connection that the server closes inside a transaction never returns to the pool: once this has happened for every connection of the pool, the service hangs.',
  expectation: 'A connection whose rollback fails is discarded, and the pool opens a new one.',
  guard: 'src/database/guarded-connection.ts removes a broken connection from the pool as soon as it breaks.',
  cure: `
try {
  return await client.query(sql, parameters);
} catch (error) {
  // At once: if its rollback fails, the connection is not returned to the pool.
  if (!isServerError(error)) client.release(error);
  throw error;
}`,
  async fallInto(scratch) {
    const bare = ({ pool }: ScratchPool) => barePool(pool, scratch.timeline.observe('pool'));
    const figures = await endedByServer(scratch, bare);
    return { seen: figures.lent_for_ever === 1, figures };
  },
  async avoid(scratch) {
    const figures = await endedByServer(scratch, ({ sessions }) => sessions);
    return { seen: figures.lent_for_ever === 0, figures };
  },
});

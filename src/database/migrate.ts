import { IsolationLevel } from '@mikro-orm/core';
import { type DatabaseOptions, openDatabase } from './orm.ts';

/** Any number that no other program locks. */
const MIGRATION_LOCK = 4_157_112_103;

/** Time for another process to finish the same migration, and for a migration of a large table. */
const TIMEOUTS = { LOCK_TIMEOUT_MS: 60_000, STATEMENT_TIMEOUT_MS: 300_000 };

/**
 * Brings the database up to date. Of several processes that do so at the same time, one migrates, and the others wait and
 * then find nothing to do (MikroORM's migrator takes no lock of its own). All or nothing.
 *
 * @returns how many migrations were applied
 */
export async function migrate(options: DatabaseOptions): Promise<number> {
  const { orm } = openDatabase({ ...options, config: { ...options.config, ...TIMEOUTS } });
  try {
    return await orm.em.fork().transactional(
      async (em) => {
        // A schema that was named is the caller's own; not every engine that speaks the protocol has such locks.
        if (options.schema) await em.execute(`set local search_path to "${options.schema}"`);
        else await em.execute(`select pg_advisory_xact_lock(${MIGRATION_LOCK})`);
        const applied = await orm.migrator.up({ transaction: em.getTransactionContext() });
        return applied.length;
      },
      // At a higher level the snapshot would be older than the lock, and would not show what the others migrated.
      { isolationLevel: IsolationLevel.READ_COMMITTED },
    );
  } finally {
    await orm.close();
  }
}

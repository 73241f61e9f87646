import { IsolationLevel } from '@mikro-orm/core';
import { type DatabaseOptions, openDatabase } from './orm.ts';

/** An arbitrary number that no other program uses for an advisory lock. */
const MIGRATION_LOCK = 4_157_112_103;

/** Time for another process to finish the same migration, and for a migration of a large table. */
const TIMEOUTS = { LOCK_TIMEOUT_MS: 60_000, STATEMENT_TIMEOUT_MS: 300_000 };

/**
 * Applies the pending migrations, all or none of them. If several processes do so at the same time, one migrates, and the
 * others wait and then find nothing to do (MikroORM's migrator takes no lock).
 *
 * @returns how many migrations were applied
 */
export async function migrate(options: DatabaseOptions): Promise<number> {
  const { orm, close } = openDatabase({ ...options, config: { ...options.config, ...TIMEOUTS } });
  try {
    return await orm.em.fork().transactional(
      async (em) => {
        // A named schema belongs to the caller alone, so it needs no lock. (Not every engine has advisory locks.)
        if (options.schema) await em.execute(`set local search_path to "${options.schema}"`);
        else await em.execute(`select pg_advisory_xact_lock(${MIGRATION_LOCK})`);
        const applied = await orm.migrator.up({ transaction: em.getTransactionContext() });
        return applied.length;
      },
      // At a higher level the snapshot would be older than the lock, and would not contain the migrations of others.
      { isolationLevel: IsolationLevel.READ_COMMITTED },
    );
  } finally {
    await close();
  }
}

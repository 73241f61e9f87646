import { IsolationLevel } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import { type DatabaseOptions, openDatabase } from './orm.ts';
import { quoted } from './schema.ts';

/** An arbitrary number that no other program uses for an advisory lock. */
const MIGRATION_LOCK = 4_157_112_103;

/** Time for another process to finish the same migration, and for a migration of a large table. */
const TIMEOUTS = { LOCK_TIMEOUT_MS: 60_000, STATEMENT_TIMEOUT_MS: 300_000 };

export interface MigrateOptions extends DatabaseOptions {
  /** Whether no other process can migrate the same schema, so that no advisory lock is needed. Not every engine has them. */
  alone?: boolean;
}

/**
 * Applies the pending migrations of the demonstrations, all or none of them, and creates their schema if it does not
 * exist. If several processes do so at the same time, one migrates, and the others wait and then find nothing to do
 * (MikroORM's migrator takes no lock).
 *
 * @returns how many migrations were applied
 */
export async function migrate({ alone = false, ...options }: MigrateOptions): Promise<number> {
  const { orm, close } = openDatabase({ ...options, config: { ...options.config, ...TIMEOUTS } });
  const locked = <T>(work: (em: EntityManager) => Promise<T>) =>
    orm.em.fork().transactional(
      async (em) => {
        if (!alone) await em.execute(`select pg_advisory_xact_lock(${MIGRATION_LOCK})`);
        return work(em);
      },
      // At a higher level the snapshot would be older than the lock, and would not contain the migrations of others.
      { isolationLevel: IsolationLevel.READ_COMMITTED },
    );
  try {
    // Committed first, because the migrator creates its own table through another connection.
    await locked((em) => createSchema(em, options.schema));
    const applied = await locked((em) => orm.migrator.up({ transaction: em.getTransactionContext() }));
    return applied.length;
  } finally {
    await close();
  }
}

/** Not `if not exists`, for which PostgreSQL requires the right to create schemas even if the schema exists. */
async function createSchema(em: EntityManager, schema: string): Promise<void> {
  const found = await em.execute<unknown[]>('select 1 from pg_namespace where nspname = ?', [schema]);
  if (found.length === 0) await em.execute(`create schema ${quoted(schema)}`);
}

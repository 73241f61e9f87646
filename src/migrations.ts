import type { Config } from './config.ts';
import { migrateCounters } from './counters/migration.ts';
import { driverFor } from './database/driver.ts';
import { migrate } from './database/migrate.ts';
import { type DatabaseLog, openCounterSessions } from './database/pool.ts';
import { demosSchema } from './database/schema.ts';
import type { SessionKind } from './database/settings.ts';
import { entities } from './entities.ts';

/** Time for another process to finish the same migration, and to copy the tables of an earlier version. */
const TIMEOUTS = {
  LOCK_TIMEOUT_MS: 60_000,
  STATEMENT_TIMEOUT_MS: 3_600_000,
  IDLE_IN_TRANSACTION_TIMEOUT_MS: 60_000,
};

/**
 * Creates all tables that the service needs, or brings them up to date: those of the counters, and, if they are served,
 * those of the demonstrations.
 *
 * @throws {StartupError} when the data of an earlier version cannot be taken over
 * @throws the error of the database
 */
export async function migrateAll(
  databaseUrl: string,
  config: Config,
  log: DatabaseLog,
  session: SessionKind,
): Promise<void> {
  const sessions = openCounterSessions(driverFor(databaseUrl), {
    config: { ...config, ...TIMEOUTS, POOL_MAX: 1 },
    log,
    session,
  });
  try {
    const done = await migrateCounters(sessions, config.DATABASE_SCHEMA);
    for (const line of done) log.info(line);
  } finally {
    await sessions.end();
  }
  if (config.DEMOS) {
    const applied = await migrate({
      databaseUrl,
      entities,
      config,
      log,
      session,
      schema: demosSchema(config.DATABASE_SCHEMA),
    });
    if (applied > 0) log.info(`${applied} migrations of the demonstrations applied`);
  }
  log.info('the tables are up to date');
}

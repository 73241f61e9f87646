import type { PoolConfig } from 'pg';
import { COUNTER_CONNECTIONS, Counters, type CountersLimits } from '../counters/counters.ts';
import { migrateCounters } from '../counters/migration.ts';
import { AddressError } from '../database/address.ts';
import { driverFor } from '../database/driver.ts';
import { openCounterSessions } from '../database/pool.ts';
import { SCHEMA_PATTERN } from '../database/schema.ts';
import { type DatabaseConfig, probeSessions } from '../database/settings.ts';
import { reasonOf } from '../errors/caught.ts';

export type {
  AllIncremented,
  Counters,
  CountersLimits,
  Expected,
  Incremented,
  IncrementItem,
  IncrementOptions,
} from '../counters/counters.ts';
export type {
  Changed,
  CounterState,
  ExpectedState,
  Listing,
  NamedCounter,
  Page,
  WindowCount,
} from '../counters/counter.ts';
export { Problem, type ProblemCode } from '../errors/problem.ts';

/** The database of the counters, to which they open connections of their own. */
export type CountersDatabase =
  | {
      /** As `DATABASE_URL` of the service: postgresql://user:password@host:port/database, also with several hosts. */
      connectionString: string;
    }
  | {
      /** The options of a pool of `pg`, for what an address cannot say: a password that is a function, TLS files. */
      connection: PoolConfig;
    };

export type CountersOptions = CountersDatabase &
  CountersLimits & {
    /**
     * A schema for the tables of the counters alone, created if it does not exist; `safe_counters` by default. Counters of
     * one database and schema are the same, also those of the service.
     */
    schema?: string;
    /** Called with each warning that concerns no single request; by default `process.emitWarning`. */
    warn?: (message: string) => void;
  };

/** The limits of sessions, in milliseconds, as those of the service by default. */
const SESSIONS = {
  POOL_ACQUIRE_TIMEOUT_MS: 5000,
  STATEMENT_TIMEOUT_MS: 10_000,
  IDLE_IN_TRANSACTION_TIMEOUT_MS: 10_000,
  ISOLATION_LEVEL: 'read committed',
  SQL_DEBUG: false,
};

/** Time to copy the tables of an earlier version, in milliseconds. */
const MIGRATION_MS_MAX = 3_600_000;

/**
 * Returns counters in a database of PostgreSQL 15 or later. Their tables are created, or brought up to date, before this
 * resolves. They open up to ten connections, which `close` closes.
 *
 * @throws {TypeError} when an option is not valid
 * @throws the error of the database when it cannot be reached, or the tables cannot be created
 */
export async function createCounters(options: CountersOptions): Promise<Counters> {
  const connection = connectionOf(options);
  const { schema = 'safe_counters', warn = (message) => process.emitWarning(message), ...others } = options;
  assertSchema(schema);
  if (typeof warn !== 'function') throw new TypeError(`warn is ${typeof warn}; allowed: a function`);
  const limits = assertLimits(others);
  const max = connection.max ?? COUNTER_CONNECTIONS;
  const config: DatabaseConfig = { ...SESSIONS, POOL_MAX: max, LOCK_TIMEOUT_MS: limits.lockedMsMax ?? 5000 };
  const log = { info: () => {}, warn };
  const session = await probeSessions(connection, config, warn).catch((error: unknown) => {
    // The error of a host name with several addresses has no message.
    throw error instanceof AggregateError ? new Error(reasonOf(error), { cause: error }) : error;
  });
  const migrating = openCounterSessions(connection, {
    config: { ...config, POOL_MAX: 1, STATEMENT_TIMEOUT_MS: MIGRATION_MS_MAX },
    log,
    session,
  });
  try {
    await migrateCounters(migrating, schema);
  } finally {
    await migrating.end();
  }
  const sessions = openCounterSessions(connection, { config, log, session });
  return new Counters(sessions, {
    ...limits,
    schema,
    warn,
    statementMsMax: config.STATEMENT_TIMEOUT_MS,
    onClosed: () => sessions.end(),
  });
}

const OWN =
  'the counters open connections of their own: give connectionString, or connection (options of a pool of pg)';

/** The options that the counters have, and what to give instead of those that they do not have. */
const OPTIONS: Record<string, string | undefined> = {
  connectionString: undefined,
  connection: undefined,
  schema: undefined,
  warn: undefined,
  keyHours: undefined,
  queueMax: undefined,
  lockedMsMax: undefined,
  settleMsMax: undefined,
  pool: OWN,
  orm: OWN,
};

/** @throws {TypeError} that says what to give instead */
function connectionOf(options: CountersOptions): PoolConfig {
  if (typeof options !== 'object' || options === null) throw new TypeError(`no options are given; ${OWN}`);
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(OPTIONS, name))
      throw new TypeError(
        `there is no option ${name}; allowed: ${Object.keys(OPTIONS).slice(0, -2).join(', ')}`,
      );
    if (OPTIONS[name] !== undefined) throw new TypeError(`there is no option ${name}: ${OPTIONS[name]}`);
  }
  const { connectionString, connection } = options as { connectionString?: unknown; connection?: unknown };
  if ((connectionString === undefined) === (connection === undefined))
    throw new TypeError(`one of connectionString and connection has to be given; ${OWN}`);
  if (connection === undefined) return addressed({ connectionString });
  if (typeof connection !== 'object' || connection === null || 'query' in connection)
    throw new TypeError(
      'connection is not valid; allowed: the options of a pool of pg, as { host, user, password, database }',
    );
  const config = connection as PoolConfig;
  const { max = COUNTER_CONNECTIONS } = config;
  if (!Number.isInteger(max) || max < COUNTER_CONNECTIONS)
    throw new TypeError(
      `connection.max is ${String(max)}; the counters need ${COUNTER_CONNECTIONS} connections: leave it out, or give at least that`,
    );
  if (config.connectionString === undefined) return config;
  const ignored = PARTS.find((part) => config[part] !== undefined);
  if (ignored)
    throw new TypeError(
      `connection has ${ignored} and connectionString, beside which pg ignores it: leave one of them out`,
    );
  return { ...config, ...addressed(config) };
}

/** What an address says, even if it leaves it out. */
const PARTS = ['host', 'port', 'user', 'password', 'database'] as const;

function addressed({ connectionString }: { connectionString?: unknown }): PoolConfig {
  if (typeof connectionString !== 'string')
    throw new TypeError(`connectionString is ${typeof connectionString}; allowed: an address of a database`);
  try {
    return driverFor(connectionString);
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    throw new TypeError(`connectionString is not valid: ${error.message}`, { cause: error });
  }
}

function assertSchema(schema: unknown): void {
  if (typeof schema === 'string' && new RegExp(SCHEMA_PATTERN).test(schema)) return;
  throw new TypeError(
    `schema is ${JSON.stringify(schema)}; allowed: 1 to 57 characters from a to z, 0 to 9 and _, without a digit at the beginning, and not public, information_schema or pg_…`,
  );
}

const LIMIT_MAX = 2 ** 31 - 1;

/** @throws {TypeError} when a limit is not valid: a wait of 0 or NaN milliseconds would have no limit */
function assertLimits({ keyHours, queueMax, lockedMsMax, settleMsMax }: CountersLimits): CountersLimits {
  const given = Object.entries({ keyHours, queueMax, lockedMsMax, settleMsMax }).filter(
    ([, limit]) => limit !== undefined,
  );
  for (const [name, limit] of given) {
    if (Number.isInteger(limit) && Number(limit) >= 1 && Number(limit) <= LIMIT_MAX) continue;
    throw new TypeError(`${name} is ${String(limit)}; allowed: whole numbers from 1 to ${LIMIT_MAX}`);
  }
  return Object.fromEntries(given);
}

import type { Pool } from 'pg';
import { Counters, type CountersLimits } from '../counters/counters.ts';
import { Sessions } from '../database/sessions.ts';
import { BorrowedPool } from './borrowed-pool.ts';
import { migrate } from './migration.ts';

export type {
  Counters,
  CountersLimits,
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

/** A MikroORM of `@mikro-orm/postgresql` 7, with its own pool. */
export interface Orm {
  em: { getDriver(): { getConnection(): { getNativeClient(): Promise<Pool> } } };
}

/** The database of the counters. */
export type CountersDatabase =
  | { /** A pool of `pg` 8. The application owns it and ends it. */ pool: Pool }
  | { /** A MikroORM whose pool is used. */ orm: Orm };

export type CountersOptions = CountersDatabase &
  CountersLimits & {
    /** A schema for the tables of the counters alone, created if it does not exist; `safe_counters` by default. */
    schema?: string;
    /** Called with each warning that concerns no single request; by default `process.emitWarning`. */
    warn?: (message: string) => void;
  };

/** How long a statement may run, in milliseconds. */
const STATEMENT_MS_MAX = 10_000;

/** How long to wait for a connection, in milliseconds. */
const CONNECT_MS_MAX = 5000;

/**
 * Returns counters in a database of PostgreSQL 15 or later. Their tables are created, or brought up to date, before this
 * resolves.
 *
 * @throws {TypeError} when an option is not valid
 * @throws the error of the database when the tables cannot be created
 */
export async function createCounters(options: CountersOptions): Promise<Counters> {
  const { schema = 'safe_counters', warn = (message) => process.emitWarning(message), ...limits } = options;
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) {
    throw new TypeError(
      `schema is ${JSON.stringify(schema)}; allowed: 1 to 63 characters from a to z, 0 to 9 and _, without a digit at the beginning`,
    );
  }
  assertLimits(limits);
  const lender = await poolOf(options);
  if (!lender.options?.connectionTimeoutMillis)
    warn(
      'the pool has no connectionTimeoutMillis: after an interruption of the network, its connections can stay occupied for minutes; set it to 5000',
    );
  const pool = new BorrowedPool(lender, CONNECT_MS_MAX, warn);
  // By default, neither the server nor the driver has a time limit.
  const sessions = new Sessions(pool, { cancelMs: STATEMENT_MS_MAX, queryMsMax: STATEMENT_MS_MAX + 2000 });
  try {
    await migrate(sessions, schema);
  } catch (error) {
    await sessions.end();
    throw error;
  }
  const onClosed = () => sessions.end();
  return new Counters(sessions, { ...limits, schema, warn, onClosed, statementMsMax: STATEMENT_MS_MAX });
}

const LIMIT_MAX = 2 ** 31 - 1;

/** @throws {TypeError} when a limit is not valid: a wait of 0 or NaN milliseconds would have no limit */
function assertLimits({ keyHours, queueMax, lockedMsMax, settleMsMax }: CountersLimits): void {
  for (const [name, limit] of Object.entries({ keyHours, queueMax, lockedMsMax, settleMsMax })) {
    if (limit === undefined || (Number.isInteger(limit) && limit >= 1 && limit <= LIMIT_MAX)) continue;
    throw new TypeError(`${name} is ${String(limit)}; allowed: whole numbers from 1 to ${LIMIT_MAX}`);
  }
}

async function poolOf(options: Partial<{ pool: Pool; orm: Orm }>): Promise<Pool> {
  const { pool, orm } = options;
  if (orm) return orm.em.getDriver().getConnection().getNativeClient();
  if (pool) return pool;
  throw new TypeError('the option pool (of pg) or orm (a MikroORM) is missing');
}

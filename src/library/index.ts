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
  WindowCount,
} from '../counters/counters.ts';
export type { Changed, CounterState, ExpectedState } from '../counters/counter.ts';
export { Problem, type ProblemCode } from '../errors/problem.ts';

/** A MikroORM of `@mikro-orm/postgresql` 7, with the pool that it makes itself. */
export interface Orm {
  em: { getDriver(): { getConnection(): { getNativeClient(): Promise<Pool> } } };
}

/** Where the counters are kept. */
export type CountersDatabase =
  | { /** A pool of `pg` 8; it stays the application's, which also ends it. */ pool: Pool }
  | { /** A MikroORM, whose pool is used. */ orm: Orm };

export type CountersOptions = CountersDatabase &
  CountersLimits & {
    /** A schema for the counters' tables alone, made if it does not exist; `safe_counters` by default. */
    schema?: string;
    /** Told of what belongs to no request; by default `process.emitWarning`. */
    warn?: (message: string) => void;
  };

/** How long a statement, and the wait for a connection, may take, in milliseconds. */
const STATEMENT_MS_MAX = 10_000;
const CONNECT_MS_MAX = 5000;

/**
 * Counters in a database of PostgreSQL 15 or later. Their tables are made, or brought up to date, before this resolves.
 *
 * @throws {TypeError} when an option is not one of those
 * @throws the database's error when the tables cannot be made
 */
export async function createCounters(options: CountersOptions): Promise<Counters> {
  const { schema = 'safe_counters', warn = (message) => process.emitWarning(message), ...limits } = options;
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) {
    throw new TypeError(
      `schema is ${JSON.stringify(schema)}; allowed: up to 63 of a to z, 0 to 9 and _, not beginning with a digit`,
    );
  }
  assertLimits(limits);
  const pool = new BorrowedPool(await poolOf(options), CONNECT_MS_MAX, warn);
  // The driver's own bound is not set by default, and a server that has stopped answering ends no statement.
  const sessions = new Sessions(pool, { queryMsMax: STATEMENT_MS_MAX + 2000 });
  await migrate(sessions, schema);
  return new Counters(sessions, { ...limits, schema, warn, statementMsMax: STATEMENT_MS_MAX });
}

const LIMIT_MAX = 2 ** 31 - 1;

/** @throws {TypeError} when a limit is none: a wait of 0 or NaN milliseconds would have no end */
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
  throw new TypeError('give a pool (of pg) or an orm (a MikroORM)');
}

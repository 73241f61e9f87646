import type { PoolConfig } from 'pg';
import type { Driver } from '../../database/driver.ts';
import { type DatabaseLog, poolOptions } from '../../database/pool.ts';
import type { DatabaseConfig } from '../../database/settings.ts';

/** The part of the service's configuration that the laboratories use. */
export interface LabConfig extends DatabaseConfig {
  /** Standbys to read from, comma-separated. */
  readonly DATABASE_REPLICA_URLS?: string;
  /** A Redis to use as the cache instead of one in the process. */
  readonly REDIS_URL?: string;
}

/** Everything that an experiment needs: a PostgreSQL-compatible server, and nothing else of the service. */
export interface LabContext {
  databaseUrl: string;
  config: LabConfig;
  log: DatabaseLog;
  /** Aborted when the caller has disconnected or the time limit is reached: the experiment then ends and cleans up. */
  signal: AbortSignal;
}

/**
 * Limits of an experiment's sessions, independent of the service's. They are a last resort, far above every wait of an
 * experiment.
 */
const LIMITS = {
  POOL_MAX: 5,
  POOL_ACQUIRE_TIMEOUT_MS: 10_000,
  LOCK_TIMEOUT_MS: 10_000,
  STATEMENT_TIMEOUT_MS: 10_000,
  IDLE_IN_TRANSACTION_TIMEOUT_MS: 15_000,
  // Set explicitly: the defaults of a server, a role or the service must not change a claim.
  ISOLATION_LEVEL: 'read committed',
} as const;

export interface PoolSettings {
  /** The name on the timeline for statements that belong to no task. */
  name?: string;
  limits?: Partial<DatabaseConfig>;
  /** Whether its sessions refuse to write. */
  readOnly?: boolean;
  /** Another server than the experiment's. */
  databaseUrl?: string;
}

/**
 * The connection options of an experiment's session: a name that the observer finds it by, and the experiment's schema
 * as the search path.
 */
export function sessionOptions(
  context: LabContext,
  schema: string,
  name: string,
  { limits, readOnly, databaseUrl = context.databaseUrl }: PoolSettings,
): PoolConfig & Driver {
  const config = { ...context.config, ...LIMITS, ...limits };
  const options = poolOptions({ databaseUrl, config });
  const words = [options.options, `-c search_path=${schema}`];
  if (readOnly) words.push('-c default_transaction_read_only=on');
  return { ...options, application_name: `${schema} ${name}`, options: words.join(' ') };
}

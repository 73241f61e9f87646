import type { PoolConfig } from 'pg';
import type { Driver } from '../../database/driver.ts';
import { poolOptions } from '../../database/orm.ts';
import type { DatabaseConfig } from '../../database/settings.ts';
import type { LabContext } from './context.ts';

/**
 * Bounds of an experiment's own sessions, whatever the service's are: the last resort for what should have ended
 * by itself, so far above everything that an experiment waits for.
 */
const LIMITS = {
  POOL_MAX: 5,
  POOL_ACQUIRE_TIMEOUT_MS: 10_000,
  LOCK_TIMEOUT_MS: 10_000,
  STATEMENT_TIMEOUT_MS: 10_000,
  IDLE_IN_TRANSACTION_TIMEOUT_MS: 15_000,
  // Said explicitly: what a server, a role or the service takes by default must not change a claim.
  ISOLATION_LEVEL: 'read committed',
} as const;

export interface PoolSettings {
  /** How the timeline calls what no task is named for. */
  name?: string;
  limits?: Partial<DatabaseConfig>;
  /** Whether its sessions refuse to write. */
  readOnly?: boolean;
  /** Another server than the experiment's. */
  databaseUrl?: string;
}

/**
 * How a session of an experiment connects: under a name that the observer finds it by, and with the experiment's
 * schema as the place of all tables.
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

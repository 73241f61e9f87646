import type { DatabaseLog } from '../../database/pool.ts';
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

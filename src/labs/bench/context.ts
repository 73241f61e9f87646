import type { DatabaseLog } from '../../database/orm.ts';
import type { DatabaseConfig } from '../../database/settings.ts';

/** The part of the service's configuration that the laboratories use. */
export interface LabConfig extends DatabaseConfig {
  /** Standbys to read from, comma-separated. */
  readonly DATABASE_REPLICA_URLS?: string;
  /** A Redis to use as the cache instead of one in the process. */
  readonly REDIS_URL?: string;
}

/** What an experiment needs: any PostgreSQL-compatible server, and nothing of the service that runs it. */
export interface LabContext {
  databaseUrl: string;
  config: LabConfig;
  log: DatabaseLog;
  /** Aborted when the caller has gone or the time is up: the experiment then ends and cleans up. */
  signal: AbortSignal;
}

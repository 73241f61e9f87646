import type { DatabaseLog } from '../../database/orm.ts';
import type { DatabaseConfig } from '../../database/settings.ts';

/** What the laboratories read of the service's configuration. */
export interface LabConfig extends DatabaseConfig {
  /** Standbys to read from, comma-separated. */
  readonly DATABASE_REPLICA_URLS?: string;
  /** A cache to use instead of one in the process. */
  readonly REDIS_URL?: string;
}

/** What an experiment needs: any PostgreSQL-compatible server, and nothing of the service that runs it. */
export interface LabContext {
  databaseUrl: string;
  config: LabConfig;
  log: DatabaseLog;
  /** Aborted when nobody waits any more, or for too long: the experiment then ends, and cleans up. */
  signal: AbortSignal;
}

import { Pool, type PoolConfig, TypeOverrides, types } from 'pg';
import { type Driver, driverFor } from './driver.ts';
import { listenToPool } from './guarded-connection.ts';
import { Sessions } from './sessions.ts';
import { type DatabaseConfig, type SessionKind, sessionSettings } from './settings.ts';

export interface DatabaseLog {
  info: (message: string) => void;
  warn: (message: string) => void;
}

export interface PoolOptions {
  databaseUrl: string;
  config: DatabaseConfig;
  /** Receives messages that belong to no request: broken idle connections, and SQL with SQL_DEBUG. */
  log: DatabaseLog;
  /** The result of `probeSessions`; undefined: the sessions are those of the server itself. */
  session?: SessionKind | undefined;
  /** Called with each error of the server. */
  onError?: ((error: unknown) => void) | undefined;
}

/** A pool of connections to the database; nothing connects before the first query. */
export function openSessions(options: PoolOptions): Sessions {
  const { log, session, onError } = options;
  const pool = new Pool(poolOptions(options));
  listenToPool(pool, log.warn);
  return new Sessions(pool, { prepares: !session?.pooled, onError });
}

export function poolOptions({
  databaseUrl,
  config,
  session,
}: Pick<PoolOptions, 'databaseUrl' | 'config' | 'session'>): PoolConfig & Driver {
  const parsers = new TypeOverrides();
  // MikroORM parses dates and intervals itself, from the text that the server sends.
  const { DATE, TIMESTAMP, TIMESTAMPTZ, INTERVAL } = types.builtins;
  for (const type of [DATE, TIMESTAMP, TIMESTAMPTZ, INTERVAL]) parsers.setTypeParser(type, (text) => text);
  return {
    ...driverFor(databaseUrl),
    types: parsers,
    max: config.POOL_MAX,
    connectionTimeoutMillis: config.POOL_ACQUIRE_TIMEOUT_MS,
    // Longer than the server's own statement timeout: only for a server or a network that has stopped answering.
    query_timeout: config.STATEMENT_TIMEOUT_MS + 2000,
    keepAlive: true,
    application_name: 'safe-counters',
    ...(session?.pooled ? {} : sessionSettings(config, session?.synchronousCommit)),
  };
}

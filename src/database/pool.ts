import { Pool, type PoolConfig, TypeOverrides, types } from 'pg';
import { type Driver, driverFor } from './driver.ts';
import { listenToPool } from './guarded-connection.ts';
import { Sessions } from './sessions.ts';
import { COUNTER_SETTINGS, type DatabaseConfig, type SessionKind, sessionSettings } from './settings.ts';

export interface DatabaseLog {
  info: (message: string) => void;
  warn: (message: string) => void;
}

export interface ConnectionOptions {
  config: DatabaseConfig;
  /** Receives messages that belong to no request: broken idle connections, and SQL with SQL_DEBUG. */
  log: DatabaseLog;
  /** The result of `probeSessions`; undefined: the sessions are those of the server itself. */
  session?: SessionKind | undefined;
  /** Called with each error of the server. */
  onError?: ((error: unknown) => void) | undefined;
}

export interface PoolOptions extends ConnectionOptions {
  databaseUrl: string;
}

/** A pool of connections to the database; nothing connects before the first query. */
export function openSessions(options: PoolOptions): Sessions {
  return sessionsOf(poolOptions(options), options);
}

/**
 * A pool of connections for counters alone.
 *
 * @param connection how to connect: what `driverFor` returns, or the options of an application
 */
export function openCounterSessions(connection: PoolConfig, options: ConnectionOptions): Sessions {
  const config: PoolConfig & { pipeline: boolean } = {
    ...connection,
    ...limitsOf(options),
    ...settingsOf(connection, options, COUNTER_SETTINGS),
    // So that the statements of a transaction are sent together.
    pipeline: true,
  };
  return sessionsOf(config, options);
}

function sessionsOf(config: PoolConfig, { log, session, onError }: ConnectionOptions): Sessions {
  const pool = new Pool(config);
  listenToPool(pool, log.warn);
  return new Sessions(pool, { prepares: session?.applied ?? true, onError });
}

export function poolOptions(
  options: Pick<PoolOptions, 'databaseUrl' | 'config' | 'session'>,
): PoolConfig & Driver {
  const connection = driverFor(options.databaseUrl);
  const parsers = new TypeOverrides();
  // MikroORM parses dates and intervals itself, from the text that the server sends.
  const { DATE, TIMESTAMP, TIMESTAMPTZ, INTERVAL } = types.builtins;
  for (const type of [DATE, TIMESTAMP, TIMESTAMPTZ, INTERVAL]) parsers.setTypeParser(type, (text) => text);
  return {
    ...connection,
    types: parsers,
    ...limitsOf(options),
    ...settingsOf(connection, options),
  } as PoolConfig & Driver;
}

const limitsOf = ({ config }: Pick<ConnectionOptions, 'config'>): PoolConfig => ({
  max: config.POOL_MAX,
  connectionTimeoutMillis: config.POOL_ACQUIRE_TIMEOUT_MS,
  // Longer than the server's own statement timeout: only for a server or a network that has stopped answering.
  query_timeout: config.STATEMENT_TIMEOUT_MS + 2000,
  keepAlive: true,
  application_name: APPLICATION_NAME,
});

/** Versions whose tables were in the schema `public` are connected as `safe-counters`. */
export const APPLICATION_NAME = 'safe_counters';

/** The settings of sessions, added to those that the connection itself asks for. */
function settingsOf(
  { options }: { options?: string | undefined },
  { config, session }: Pick<ConnectionOptions, 'config' | 'session'>,
  more: readonly string[] = [],
): PoolConfig {
  if (session?.refused) return options === undefined ? {} : { options };
  const settings = sessionSettings(config, session?.synchronousCommit, more);
  return { ...settings, options: [options, settings.options].filter(Boolean).join(' ') };
}

import { join } from 'node:path';
import type { EntityName } from '@mikro-orm/core';
import { Migrator } from '@mikro-orm/migrations';
import { MikroORM, type Options } from '@mikro-orm/postgresql';
import { PostgresDialect } from 'kysely';
import { Pool, type PoolConfig, TypeOverrides, types } from 'pg';
import { parseAddress } from './address.ts';
import { type Driver, driverFor } from './driver.ts';
import { listenToPool } from './guarded-connection.ts';
import { Sessions } from './sessions.ts';
import { type DatabaseConfig, type SessionKind, sessionSettings } from './settings.ts';

export interface Database {
  orm: MikroORM;
  sessions: Sessions;
  /** Ends the ORM and the pool. (The ORM alone ends the pool only if it has used it.) */
  close: () => Promise<void>;
}

export interface DatabaseOptions {
  databaseUrl: string;
  entities: readonly EntityName[];
  config: DatabaseConfig;
  /** Receives messages that belong to no request: broken idle connections, and SQL with SQL_DEBUG. */
  log: DatabaseLog;
  /** The schema of the tables; undefined: the role's default. */
  schema?: string | undefined;
  /** The result of `probeSessions`; undefined: the sessions are those of the server itself. */
  session?: SessionKind | undefined;
  /** Called with each error of the server. */
  onError?: ((error: unknown) => void) | undefined;
}

export interface DatabaseLog {
  info: (message: string) => void;
  warn: (message: string) => void;
}

/** MikroORM over a pool of connections; nothing connects before the first query. */
export function openDatabase(options: DatabaseOptions): Database {
  const { config, log } = options;
  const sessions = openSessions(options);
  const orm = new MikroORM({
    ...ormOptions(options),
    driverOptions: () => new PostgresDialect({ pool: sessions }),
    logger: log.info,
    debug: config.SQL_DEBUG ? ['query', 'query-params'] : false,
    colors: false,
  });
  const close = async () => {
    await orm.close();
    await sessions.end();
  };
  return { orm, sessions, close };
}

/** A pool of connections to the database; nothing connects before the first query. */
export function openSessions(options: Omit<DatabaseOptions, 'entities'>): Sessions {
  const { log, session, onError } = options;
  const pool = new Pool(poolOptions(options));
  listenToPool(pool, log.warn);
  return new Sessions(pool, { prepares: !session?.pooled, onError });
}

export function poolOptions({
  databaseUrl,
  config,
  session,
}: Pick<DatabaseOptions, 'databaseUrl' | 'config' | 'session'>): PoolConfig & Driver {
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

/** The options for every use of MikroORM, in the service and on the command line. */
export function ormOptions({
  databaseUrl,
  entities,
  schema,
}: Pick<DatabaseOptions, 'databaseUrl' | 'entities' | 'schema'>): Options {
  return {
    // Only the name of the database is read from it; connections are opened by `driverOptions`.
    clientUrl: parseAddress(databaseUrl).urls[0],
    entities: [...entities],
    ...(schema ? inSchema(schema) : {}),
    extensions: [Migrator],
    migrations: { path: join(import.meta.dirname, '../../migrations'), snapshot: false },
    // A batched update checks the versions before the write and not in it: of two flushes that both pass, one is lost.
    useBatchUpdates: false,
    // A mistyped name is an error, not a new database.
    ensureDatabase: false,
  };
}

/** `em.lock` reads the schema from the entity and not from the configuration (7.2.1), so it is set in both. */
const inSchema = (schema: string): Options => ({
  schema,
  discovery: {
    onMetadata: (meta) => {
      meta.schema = schema;
    },
  },
});

import { join } from 'node:path';
import type { EntityName } from '@mikro-orm/core';
import { Migrator } from '@mikro-orm/migrations';
import { MikroORM, type Options } from '@mikro-orm/postgresql';
import { PostgresDialect } from 'kysely';
import { Pool, type PoolConfig, TypeOverrides, types } from 'pg';
import type { Config } from '../config.ts';
import { Sessions } from './sessions.ts';

export type Entities = readonly EntityName[];

export interface Database {
  orm: MikroORM;
  sessions: Sessions;
}

/** Where messages go that belong to no request: a broken idle connection, SQL when asked for. */
export interface DatabaseLog {
  info: (message: string) => void;
  warn: (message: string) => void;
}

/** MikroORM over a pool of connections; nothing connects before the first query. `orm.close()` ends the pool. */
export function openDatabase(
  databaseUrl: string,
  entities: Entities,
  config: Config,
  log: DatabaseLog,
): Database {
  const pool = new Pool(poolOptions(databaseUrl, config));
  // The pool discards a connection that breaks while idle; without a listener the event would end the process.
  pool.on('error', (error) => log.warn(`an idle connection to the database broke: ${error.message}`));
  pool.on('connect', (client) => client.on('error', () => {}));
  const sessions = new Sessions(pool);
  const orm = new MikroORM({
    ...ormOptions(databaseUrl, entities),
    driverOptions: () => new PostgresDialect({ pool: sessions }),
    logger: log.info,
    debug: config.SQL_DEBUG ? ['query', 'query-params'] : false,
    colors: false,
  });
  return { orm, sessions };
}

function poolOptions(databaseUrl: string, config: Config): PoolConfig {
  const parsers = new TypeOverrides();
  // MikroORM parses dates and intervals itself, from the text that the server sends.
  const { DATE, TIMESTAMP, TIMESTAMPTZ, INTERVAL } = types.builtins;
  for (const type of [DATE, TIMESTAMP, TIMESTAMPTZ, INTERVAL]) parsers.setTypeParser(type, (text) => text);
  return {
    connectionString: databaseUrl,
    types: parsers,
    max: config.POOL_MAX,
    connectionTimeoutMillis: config.POOL_ACQUIRE_TIMEOUT_MS,
    lock_timeout: config.LOCK_TIMEOUT_MS,
    statement_timeout: config.STATEMENT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: config.IDLE_IN_TRANSACTION_TIMEOUT_MS,
    // The server ends a statement in time; this is for a server, or a network, that has stopped answering.
    query_timeout: config.STATEMENT_TIMEOUT_MS + 2000,
    keepAlive: true,
    application_name: 'safe-counters',
    // Said explicitly: a database or a role can have another default.
    options: `-c default_transaction_isolation=${config.ISOLATION_LEVEL.replaceAll(' ', '\\ ')}`,
  };
}

/** What holds for every use of MikroORM here, the service's and the command line's. */
export function ormOptions(databaseUrl: string, entities: Entities): Options {
  return {
    clientUrl: databaseUrl,
    entities: [...entities],
    extensions: [Migrator],
    migrations: { path: join(import.meta.dirname, '../../migrations'), snapshot: false },
    // A batched update checks the versions before it writes instead of while: two flushes both pass, one is lost.
    useBatchUpdates: false,
    // A mistyped name is an error, not a new database.
    ensureDatabase: false,
  };
}

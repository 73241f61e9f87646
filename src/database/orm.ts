import { join } from 'node:path';
import type { EntityName } from '@mikro-orm/core';
import { Migrator } from '@mikro-orm/migrations';
import { MikroORM, type Options } from '@mikro-orm/postgresql';
import { PostgresDialect } from 'kysely';
import { parseAddress } from './address.ts';
import { openSessions, type PoolOptions } from './pool.ts';
import type { Sessions } from './sessions.ts';

export interface Database {
  orm: MikroORM;
  sessions: Sessions;
  /** Ends the ORM and the pool. (The ORM alone ends the pool only if it has used it.) */
  close: () => Promise<void>;
}

export interface DatabaseOptions extends PoolOptions {
  entities: readonly EntityName[];
  /** The schema of the tables, and of MikroORM's list of executed migrations. */
  schema: string;
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
    ...inSchema(schema),
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

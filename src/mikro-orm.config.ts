import { defineConfig, type Options } from '@mikro-orm/postgresql';
import { PostgresDialect } from 'kysely';
import { loadConfig } from './config.ts';
import { ormOptions } from './database/orm.ts';
import { openSessions } from './database/pool.ts';
import { demosSchema } from './database/schema.ts';
import type { Sessions } from './database/sessions.ts';
import { whenWritable } from './database/writable-server.ts';
import { loadDotEnv } from './dot-env.ts';
import { entities } from './entities.ts';
import { StartupError } from './errors/startup-error.ts';

/** The configuration of MikroORM's command line (`npm run mikro-orm -- migration:create`). */
export default async function commandLineOptions(): Promise<Options> {
  try {
    return await optionsFor();
  } catch (error) {
    if (!(error instanceof StartupError)) throw error;
    console.error(error.message);
    return process.exit(1);
  }
}

/** @throws {StartupError} when there is no database, or it cannot be used */
async function optionsFor(): Promise<Options> {
  loadDotEnv();
  const config = loadConfig();
  const { DATABASE_URL: databaseUrl, FAILOVER_TIMEOUT_MS: waitMsMax } = config;
  if (!databaseUrl) throw new StartupError('set DATABASE_URL to use the command line of MikroORM');
  const schema = demosSchema(config.DATABASE_SCHEMA);
  const log = { info: console.log, warn: console.warn };
  const sessions = openSessions({ databaseUrl, config, log });
  const ignoreSchema = await whenWritable(() => otherSchemas(sessions, schema), {
    databaseUrl,
    waitMsMax,
    log,
  });
  return defineConfig({
    ...ormOptions({ databaseUrl, entities, schema }),
    schemaGenerator: { ignoreSchema },
    driverOptions: () => new PostgresDialect({ pool: sessions }),
  });
}

/** Without these, MikroORM would compare the whole database with the entities, and drop everything else. */
async function otherSchemas(sessions: Sessions, schema: string): Promise<string[]> {
  const text = 'select nspname as name from pg_namespace where nspname <> $1';
  const { rows } = await sessions.query<{ name: string }>({ name: '', text, values: [schema] });
  return rows.map(({ name }) => name);
}

import { defineConfig, type Options } from '@mikro-orm/postgresql';
import { PostgresDialect } from 'kysely';
import { loadConfig } from './config.ts';
import { ormOptions } from './database/orm.ts';
import { openSessions } from './database/pool.ts';
import { demosSchema } from './database/schema.ts';
import { loadDotEnv } from './dot-env.ts';
import { entities } from './entities.ts';
import { StartupError } from './errors/startup-error.ts';

/** The configuration of MikroORM's command line (`npm run mikro-orm -- migration:create`). */
export default (): Options => {
  loadDotEnv();
  const config = loadConfig();
  const { DATABASE_URL } = config;
  if (!DATABASE_URL) throw new StartupError('set DATABASE_URL to use the command line of MikroORM');
  const log = { info: console.log, warn: console.warn };
  return defineConfig({
    ...ormOptions({ databaseUrl: DATABASE_URL, entities, schema: demosSchema(config.DATABASE_SCHEMA) }),
    driverOptions: () =>
      new PostgresDialect({ pool: openSessions({ databaseUrl: DATABASE_URL, config, log }) }),
  });
};

import type { Options } from '@mikro-orm/postgresql';
import { loadConfig } from './config.ts';
import { ormOptions } from './database/orm.ts';
import { entities } from './entities.ts';
import { StartupError } from './errors/startup-error.ts';

/** The configuration of MikroORM's command line (`npm run mikro-orm -- migration:create`). */
export default (): Options => {
  const { DATABASE_URL } = loadConfig();
  if (!DATABASE_URL) throw new StartupError('set DATABASE_URL to use the command line of MikroORM');
  return ormOptions({ databaseUrl: DATABASE_URL, entities });
};

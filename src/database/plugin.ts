import { setTimeout } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import type { Config } from '../config.ts';
import { StartupError } from '../startup-error.ts';
import { migrate } from './migrate.ts';
import { type Database, type DatabaseLog, openDatabase } from './orm.ts';

declare module 'fastify' {
  interface FastifyInstance {
    database: Database;
  }
}

export interface DatabaseOptions {
  databaseUrl: string;
  config: Config;
}

/** Opens the database and migrates it before the service listens; closes it after the last request. */
export const databasePlugin = fastifyPlugin(
  async (app: FastifyInstance, { databaseUrl, config }: DatabaseOptions) => {
    const log: DatabaseLog = {
      info: (message) => app.log.info(message),
      warn: (message) => app.log.warn(message),
    };
    try {
      const applied = await migrate(databaseUrl, config, log);
      log.info(`the database is up to date, ${applied} migrations applied just now`);
    } catch (error) {
      throw new StartupError(unusable(databaseUrl, error as Error), { cause: error });
    }
    const database = openDatabase(databaseUrl, config, log);
    app.decorate('database', database);
    app.addHook('onClose', () => database.orm.close());
  },
  { name: 'database' },
);

/** Whether the database answers within `deadlineMs`, by a real round trip. */
export async function answers({ orm }: Database, deadlineMs: number): Promise<boolean> {
  const late = new AbortController();
  const asked = orm.em
    .fork()
    .execute('select 1')
    .then(
      () => true,
      () => false,
    );
  try {
    return await Promise.race([asked, setTimeout(deadlineMs, false, { signal: late.signal })]);
  } finally {
    late.abort();
  }
}

/** One line that names the place and the reason, and never the password. */
function unusable(databaseUrl: string, error: Error): string {
  const { hostname, port, pathname, username } = new URL(databaseUrl);
  const place = `${hostname || 'localhost'}:${port || 5432}${pathname}`;
  const reason = error.message.split('\n')[0]?.replace(/^cannot connect to the database: /, '') || error.name;
  return `cannot use the database at ${place} as "${username}" (DATABASE_URL): ${reason}`;
}

#!/usr/bin/env node
import { loadConfig } from './config.ts';
import { probeSessions } from './database/settings.ts';
import { whenWritable } from './database/writable-server.ts';
import { loadDotEnv } from './dot-env.ts';
import { messageOf } from './errors/caught.ts';
import { StartupError } from './errors/startup-error.ts';
import { migrateAll } from './migrations.ts';

const USAGE = `npm run migrate creates the tables of the service in the database DATABASE_URL, or brings them up to date, and ends.
It reads the same variables as the service: DATABASE_SCHEMA, DEMOS and those of the connection (npm start -- --help).

Exit code: 0: the tables are up to date; 1: they are not.`;

/** What `npm run migrate`, and \`docker run IMAGE migrate\`, do. */
async function main(): Promise<void> {
  loadDotEnv();
  const config = loadConfig();
  const { DATABASE_URL: databaseUrl } = config;
  if (!databaseUrl)
    throw new StartupError('set DATABASE_URL: the embedded PostgreSQL is migrated by `npm start`');
  const log = { info: console.log, warn: console.warn };
  const migrate = async () =>
    migrateAll(databaseUrl, config, log, await probeSessions(databaseUrl, config, log.warn));
  await whenWritable(migrate, { databaseUrl, waitMsMax: config.FAILOVER_TIMEOUT_MS, log });
}

const args = process.argv.slice(2);
if (args.length === 1 && /^(--help|-h)$/.test(args[0] as string)) console.log(USAGE);
else if (args.length > 0) {
  console.error(`unknown argument ${args.join(' ')}; see --help`);
  process.exitCode = 2;
} else {
  try {
    await main();
  } catch (error) {
    console.error(error instanceof StartupError ? messageOf(error) : error);
    process.exitCode = 1;
  }
}

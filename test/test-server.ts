import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { loadConfig } from '../src/config.ts';
import { findPrograms, runnablePrograms } from '../src/embedded-postgres/home.ts';
import { demosSchema } from '../src/database/schema.ts';
import { probeSessions } from '../src/database/settings.ts';
import { migrateAll } from '../src/migrations.ts';
import {
  createCluster,
  freePort,
  type ServerPrograms,
  startServer,
  stopServer,
} from '../src/embedded-postgres/server.ts';

/** The PostgreSQL server of a test run: started before the first file, stopped after the last one. */
const folder = join(
  tmpdir(),
  `safe-counters-test-${createHash('sha256')
    .update(resolve(import.meta.dirname))
    .digest('hex')
    .slice(0, 12)}`,
);
const cluster = join(folder, 'cluster');
/** A cluster fresh from initdb: a copy of it takes a fraction of the time. */
const pristine = join(folder, 'pristine');
const about = join(folder, 'about.json');
const PASSWORD = 'test';

/** The migrated database that every test file clones. */
const TEMPLATE = 'safe_counters_template';

const config = loadConfig({});

/** The schema of the demonstrations' tables, also in the template. */
export const DEMOS_SCHEMA = demosSchema(config.DATABASE_SCHEMA);

/** How long the start takes on an idle machine, in milliseconds. */
const START_MS = 3000;

interface TestRun {
  port: number;
  programs: ServerPrograms;
  /** How long the start of this run took, as a multiple of `START_MS`. */
  slowness: number;
}

/** The run that this file belongs to. */
export const testRun = (): TestRun => JSON.parse(readFileSync(about, 'utf8')) as TestRun;

const describe = (run: TestRun) => writeFile(about, JSON.stringify(run));

/** Starts the server and migrates the template. `POSTGRES_BIN` names the programs of another PostgreSQL to use. */
export async function startTestServer(): Promise<string> {
  const startedAt = performance.now();
  await stopTestServer();
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o711);
  const programs = await findTestPrograms();
  await createCluster(programs, pristine, PASSWORD);
  await copyCluster(cluster);
  const port = await freePort();
  await startServer(programs, cluster, {
    port,
    logFile: join(folder, 'postgres.log'),
    // fsync protects data from a crash of the machine; the tests only kill processes.
    settings: { fsync: 'off', max_connections: '300' },
  });
  await describe({ port, programs, slowness: 1 });
  const template = await createEmptyDatabase(TEMPLATE);
  const log = { info: () => {}, warn: () => {} };
  await migrateAll(template, config, log, await probeSessions(template, config, log.warn));
  const client = new Client(await databaseUrl('postgres'));
  await client.connect();
  const slowness = (performance.now() - startedAt) / START_MS;
  await describe({ port, programs, slowness });
  const { rows } = await client.query<{ server_version: string }>('show server_version');
  await client.end();
  return rows[0]?.server_version ?? '';
}

/** Creates a cluster for the programs of this run at `to`; the superuser's password is `test`. */
export async function copyCluster(to: string): Promise<void> {
  await promisify(execFile)('cp', ['-a', pristine, to]);
}

/** Stops the server of this run, or one that an interrupted run left behind. */
export async function stopTestServer(): Promise<void> {
  const known = await readFile(about, 'utf8').catch(() => undefined);
  if (known) await stopServer((JSON.parse(known) as TestRun).programs, cluster);
  await rm(folder, { recursive: true, force: true });
}

/** The address of a database on the server of this run. */
export async function databaseUrl(name: string): Promise<string> {
  const { port } = testRun();
  return `postgresql://postgres:${PASSWORD}@127.0.0.1:${port}/${name}`;
}

/** A new database, empty or a clone of the migrated one; returns its address. */
export const createEmptyDatabase = (name: string) => create(name, 'template0');
export const cloneDatabase = (name: string) => create(name, TEMPLATE);

export async function dropDatabase(name: string): Promise<void> {
  await asAdministrator(`drop database if exists ${name} with (force)`);
}

async function create(name: string, template: string): Promise<string> {
  // Copies the files: the default, through the write-ahead log, takes several times as long.
  await asAdministrator(`create database ${name} template ${template} strategy file_copy`);
  return databaseUrl(name);
}

async function asAdministrator(sql: string): Promise<void> {
  const client = new Client(await databaseUrl('postgres'));
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

/** Debian's PostgreSQL, the oldest supported version. */
export const POSTGRESQL_15 = '/usr/lib/postgresql/15/bin';

/** The PostgreSQL programs of the tests, and the account that runs them. */
export async function findTestPrograms(bin = process.env.POSTGRES_BIN): Promise<ServerPrograms> {
  return runnablePrograms(bin ?? (await findPrograms()), folder);
}

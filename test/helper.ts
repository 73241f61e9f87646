import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { Client, Pool, type PoolConfig } from 'pg';
import type { Test } from 'tap';
import { buildApp } from '../src/app.ts';
import { loadConfig } from '../src/config.ts';
import { entities } from '../src/entities.ts';
import { type Database, openDatabase } from '../src/database/orm.ts';
import { ownFolder } from '../load-tests/shared/own-folder.ts';
import { type Program, runProgram as runAnyProgram, whenReady } from '../load-tests/shared/own-service.ts';
import { endInEmergency, removeInEmergency } from './emergency.ts';
import { slow } from './pace.ts';
import { cloneDatabase, createEmptyDatabase, DEMOS_SCHEMA, dropDatabase } from './test-server.ts';

export const CHECKOUT = join(import.meta.dirname, '..');

/** Progress lines, the only output to standard error that is not an error. */
export const ONLY_PROGRESS = /^(\d+\/\d+ {2}.*\n)*$/;

/** The table of the posts, for SQL. */
export const POSTS = `${DEMOS_SCHEMA}.posts`;

/** A log that discards its lines. */
export const silent = { info: () => {}, warn: () => {} };

let databases = 0;

/** A database for this test alone, migrated by default; dropped when the test ends. */
export async function testDatabase(t: Test, { migrated = true } = {}): Promise<string> {
  databases += 1;
  const name = `test_${process.pid}_${databases}`;
  t.teardown(() => dropDatabase(name));
  return migrated ? cloneDatabase(name) : createEmptyDatabase(name);
}

/** Timeouts of the service for the database, longer while this machine is slow. */
export const databaseTimeouts = () => ({
  POOL_ACQUIRE_TIMEOUT_MS: String(slow(5000)),
  LOCK_TIMEOUT_MS: String(slow(5000)),
  STATEMENT_TIMEOUT_MS: String(slow(10_000)),
});

/** The service's app on a separate database, for `inject` or `listen`. */
export async function testApp(
  t: Test,
  env: NodeJS.ProcessEnv = {},
  databaseUrl?: string,
  logger?: FastifyBaseLogger,
): Promise<FastifyInstance> {
  const url = databaseUrl ?? (await testDatabase(t));
  const config = loadConfig({ DEMO_RATE_LIMIT: '0', ...databaseTimeouts(), ...env });
  const app = await buildApp({ config, databaseUrl: url, logger });
  await app.ready();
  t.teardown(() => app.close());
  return app;
}

export async function testOrm(
  t: Test,
  env: NodeJS.ProcessEnv = {},
): Promise<Database & { databaseUrl: string }> {
  const databaseUrl = await testDatabase(t);
  const database = openDatabase({
    databaseUrl,
    entities,
    config: loadConfig({ ...databaseTimeouts(), ...env }),
    log: silent,
    schema: DEMOS_SCHEMA,
  });
  t.teardown(() => database.close());
  return { ...database, databaseUrl };
}

/** A folder for this test alone that other users may enter; removed when the test ends. */
export async function testFolder(t: Test, name: string, parent?: string): Promise<string> {
  const folder = await ownFolder(name, parent);
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  removeInEmergency(t, folder);
  return folder;
}

/** A connection for this test alone, independent of the service. */
export async function testClient(t: Test, databaseUrl: string): Promise<Client> {
  const client = new Client(databaseUrl);
  client.on('error', () => {});
  await client.connect();
  t.teardown(() => client.end());
  return client;
}

/** A pool like that of an application. Its idle connections may break when the database is dropped. */
export function testPool(t: Test, config: PoolConfig): Pool {
  const pool = new Pool(config);
  pool.on('error', () => {});
  t.teardown(() => pool.end());
  return pool;
}

export interface Service extends Program {
  url: string;
}

/** Runs a program of the checkout; it ends with the test at the latest. */
export function runProgram(t: Test, args: string[], env: NodeJS.ProcessEnv = {}): Program {
  const program = runAnyProgram(args, env);
  t.teardown(() => void program.child.kill('SIGKILL'));
  // SIGTERM for a command, which must end its own child processes.
  endInEmergency(t, program.child, args[0] === 'src/server.ts' ? 'SIGKILL' : 'SIGTERM');
  return program;
}

/** Starts the service as a separate process on a free port; resolves when it reports that it is ready. */
export async function startService(t: Test, env: NodeJS.ProcessEnv): Promise<Service> {
  const program = runProgram(t, ['src/server.ts'], { PORT: '0', DEMO_RATE_LIMIT: '0', ...env });
  return { ...program, url: await whenReady(program) };
}

export async function getJson<T = Record<string, unknown>>(url: string): Promise<T & { status: number }> {
  const response = await fetch(url);
  return { ...((await response.json()) as T), status: response.status };
}

/**
 * The answer of `/health/ready`, or of another path, as soon as it is 200: the database of a busy machine may need longer
 * than the second that the service gives it.
 */
export const whenOk = (app: FastifyInstance, path = '/health/ready') =>
  until(async () => {
    const answer = await app.inject(path);
    if (answer.statusCode !== 200) throw new Error(`${path}: ${answer.body}`);
    return answer;
  });

/** Between two polls, in milliseconds: without a pause, polling would slow down what it waits for. */
const POLL_MS = 5;

/** The time limit of `until` on an idle machine, in milliseconds. */
const UNTIL_MS_MAX = 30_000;

/**
 * Polls until the condition holds, which it does not while it throws.
 *
 * @returns the value of the condition
 * @throws {Error} after the time limit, with the source of the condition; the last error of the condition is the `cause`
 */
export async function until<T>(holds: () => Promise<T | false>, msMax = slow(UNTIL_MS_MAX)): Promise<T> {
  const endsAt = performance.now() + msMax;
  let cause: unknown;
  do {
    try {
      const value = await holds();
      if (value) return value;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    await setTimeout(POLL_MS);
  } while (performance.now() < endsAt);
  throw new Error(`did not become true within ${msMax} ms: ${String(holds)}`, { cause });
}

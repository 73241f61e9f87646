import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { Client } from 'pg';
import type { Test } from 'tap';
import { buildApp } from '../src/app.ts';
import { loadConfig } from '../src/config.ts';
import { entities } from '../src/entities.ts';
import { type Database, openDatabase } from '../src/database/orm.ts';
import { ownFolder } from '../load-tests/shared/own-folder.ts';
import { type Program, runProgram as runAnyProgram, whenReady } from '../load-tests/shared/own-service.ts';
import { endInEmergency, removeInEmergency } from './emergency.ts';
import { slow } from './pace.ts';
import { cloneDatabase, createEmptyDatabase, dropDatabase } from './test-server.ts';

export const CHECKOUT = join(import.meta.dirname, '..');

/** What a command may say on the error output where nothing is wrong: how far it is, if it takes long. */
export const ONLY_PROGRESS = /^(\d+\/\d+ {2}.*\n)*$/;

/** A log for what is not looked at. */
export const silent = { info: () => {}, warn: () => {} };

let databases = 0;

/** A database for this test alone, migrated unless told otherwise; dropped when the test ends. */
export async function testDatabase(t: Test, { migrated = true } = {}): Promise<string> {
  databases += 1;
  const name = `test_${process.pid}_${databases}`;
  t.teardown(() => dropDatabase(name));
  return migrated ? cloneDatabase(name) : createEmptyDatabase(name);
}

/** The waits for the database that a service allows itself, on this machine at this moment. */
const patience = () => ({
  POOL_ACQUIRE_TIMEOUT_MS: String(slow(5000)),
  LOCK_TIMEOUT_MS: String(slow(5000)),
  STATEMENT_TIMEOUT_MS: String(slow(10_000)),
});

/** The service's own app on a database of its own, to be asked by `inject` or to listen. */
export async function testApp(
  t: Test,
  env: NodeJS.ProcessEnv = {},
  databaseUrl?: string,
  logger?: FastifyBaseLogger,
): Promise<FastifyInstance> {
  const url = databaseUrl ?? (await testDatabase(t));
  const config = loadConfig({ DEMO_RATE_LIMIT: '0', ...patience(), ...env });
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
    config: loadConfig({ ...patience(), ...env }),
    log: silent,
  });
  t.teardown(() => database.orm.close());
  return { ...database, databaseUrl };
}

/** A folder of the test's own, which other users may enter; removed when the test ends. */
export async function testFolder(t: Test, name: string, parent?: string): Promise<string> {
  const folder = await ownFolder(name, parent);
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  removeInEmergency(t, folder);
  return folder;
}

/** A connection of the test's own, to look from outside. */
export async function testClient(t: Test, databaseUrl: string): Promise<Client> {
  const client = new Client(databaseUrl);
  client.on('error', () => {});
  await client.connect();
  t.teardown(() => client.end());
  return client;
}

export interface Service extends Program {
  url: string;
}

/** Runs a program of the checkout, at most as long as the test. */
export function runProgram(t: Test, args: string[], env: NodeJS.ProcessEnv = {}): Program {
  const program = runAnyProgram(args, env);
  t.teardown(() => void program.child.kill('SIGKILL'));
  // A command has to end what it has started itself.
  endInEmergency(t, program.child, args[0] === 'src/server.ts' ? 'SIGKILL' : 'SIGTERM');
  return program;
}

/** The service as a process of its own on a port of its own; resolves when it says that it is ready. */
export async function startService(t: Test, env: NodeJS.ProcessEnv): Promise<Service> {
  const program = runProgram(t, ['src/server.ts'], { PORT: '0', DEMO_RATE_LIMIT: '0', ...env });
  return { ...program, url: await whenReady(program) };
}

export async function getJson<T = Record<string, unknown>>(url: string): Promise<T & { status: number }> {
  const response = await fetch(url);
  return { ...((await response.json()) as T), status: response.status };
}

/** Between two questions, in milliseconds: asked without a pause, what is waited for would have less of the processor. */
const ASK_MS = 5;

/** Asks again until the answer is as wanted; the test's own time limit is the bound. */
export async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds().catch(() => false))) await setTimeout(ASK_MS);
}

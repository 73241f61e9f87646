import type { Client } from 'pg';
import type { Test } from 'tap';
import { loadConfig } from '../../src/config.ts';
import type { Answer, CounterRequest, IncrementRequest } from '../../src/counters/request.ts';
import { CounterStore } from '../../src/counters/store.ts';
import { CounterWriter, type WriterEvents, type WriterLimits } from '../../src/counters/writer.ts';
import { driverFor } from '../../src/database/driver.ts';
import { openCounterSessions } from '../../src/database/pool.ts';
import type { Sessions } from '../../src/database/sessions.ts';
import type { SessionKind } from '../../src/database/settings.ts';
import { Problem } from '../../src/errors/problem.ts';
import { databaseTimeouts, silent, testClient, testDatabase, until } from '../helper.ts';
import type { Query } from './unreliable.ts';

export const SCHEMA = 'safe_counters';

export const noEvents: WriterEvents = {
  written: () => {},
  retried: () => {},
  settled: () => {},
  replayed: () => {},
};

/** The connections of one replica for its counters. */
export function sessionsOn(
  t: Test,
  databaseUrl: string,
  env: NodeJS.ProcessEnv = {},
  session?: SessionKind,
): Sessions {
  const config = loadConfig({ ...databaseTimeouts(), ...env });
  const sessions = openCounterSessions(driverFor(databaseUrl), { config, log: silent, session });
  t.teardown(() => sessions.end());
  return sessions;
}

/** A separate database, the connections of a replica, and one that is independent of it. */
export async function setUp(t: Test, env: NodeJS.ProcessEnv = {}) {
  const databaseUrl = await testDatabase(t);
  return { databaseUrl, sessions: sessionsOn(t, databaseUrl, env), client: await testClient(t, databaseUrl) };
}

export const storeOn = (sessions: Query, lockMsMax = 100): CounterStore =>
  new CounterStore(sessions, { keyHours: 24, lockMsMax, schema: SCHEMA });

export interface WriterOptions extends WriterLimits {
  events?: Partial<WriterEvents>;
  /** How long a batch may wait for each lock, in milliseconds. */
  lockMsMax?: number;
}

/** The writer of a replica. */
export const writerOn = (
  sessions: Query,
  { events, lockMsMax, ...limits }: WriterOptions = {},
): CounterWriter => new CounterWriter(storeOn(sessions, lockMsMax), { ...noEvents, ...events }, limits);

export const one = (name: string, by = 1, key?: string): IncrementRequest => ({
  increments: [{ name, by }],
  key,
});

export const bulk = (...names: string[]): IncrementRequest => ({
  increments: names.map((name) => ({ name, by: 1 })),
});

/** The answer to a request, or the code of its problem. */
export const answerOf = (writer: CounterWriter, request: CounterRequest): Promise<Answer | string> =>
  writer.submit(request).catch((error: unknown) => (error instanceof Problem ? error.code : String(error)));

/** The outcome of a request: its values, or the code of its problem. */
export const outcomeOf = async (
  writer: CounterWriter,
  request: IncrementRequest,
): Promise<number[] | string> => {
  const answer = await answerOf(writer, request);
  return typeof answer === 'string' ? answer : (answer as { values: number[] }).values;
};

/** The values of all counters, by name. */
export async function valuesIn(client: Client): Promise<Record<string, number>> {
  const { rows } = await client.query<{ name: string; value: string }>(
    `select name, value from safe_counters.counters where period = '' order by name`,
  );
  return Object.fromEntries(rows.map(({ name, value }) => [name, Number(value)]));
}

/** Creates counters with the value 0. */
export const create = (client: Client, ...names: string[]) =>
  client.query('insert into safe_counters.counters (name, value) select unnest($1::text[]), 0', [names]);

/** Begins a transaction that locks counters. */
export async function hold(holder: Client, ...names: string[]): Promise<void> {
  await holder.query('begin');
  await holder.query('select from safe_counters.counters where name = any ($1) for update', [names]);
}

/** Resolves when so many sessions of this database wait for a lock. */
export const blocked = (client: Client, count = 1) =>
  until(async () => {
    const { rowCount } = await client.query(
      `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    return rowCount === count;
  });

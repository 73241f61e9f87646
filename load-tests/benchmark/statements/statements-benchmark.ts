import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { progress } from '../../../src/command-line/progress.ts';
import { table } from '../../../src/command-line/table.ts';
import { compose } from '../../../src/counters/batch.ts';
import { decide } from '../../../src/counters/decide.ts';
import { pendingOf } from '../../../src/counters/request.ts';
import type { CounterStore } from '../../../src/counters/store.ts';
import type { Sessions } from '../../../src/database/sessions.ts';
import { ownCounters, SCHEMA } from '../../shared/own-counters.ts';
import { withOwnDatabase } from '../../shared/own-database.ts';
import { type Spread, spread } from '../../shared/spread.ts';
import type { Ratio } from '../figures/ratio.ts';
import { DelayedLink } from '../scale/delayed-link.ts';
import { Selective } from './selective.ts';

export interface StatementsOptions {
  rounds: number;
  signal: AbortSignal;
}

/** The bare upserts use the connections of the counters, and so do the statements that are compared with them. */
interface Connected {
  client: Client;
  sessions: Sessions;
  store: CounterStore;
}

/** A form of writing a batch, by the time that one takes. */
interface Form {
  name: string;
  write(): Promise<unknown>;
}

export interface StatementsResult {
  /** Microseconds a batch. */
  measured: { name: string; us: Spread }[];
  /** With a network in between: milliseconds a batch of each writer. */
  links: { roundTripMs: number; writers: number; decidedMs: number; selectiveMs: number }[];
  ratios: Ratio[];
}

/** How many turns each form has in a round, and how many batches are written in each. */
const TURNS = 6;
const BATCHES = 20;

const ROUND_TRIPS_MS = [0, 0.2, 1, 5];

const names = (count: number, rows: number): string[] =>
  Array.from({ length: count }, (_, i) => `n${String(i % rows).padStart(3, '0')}`);

/** So high that every request fits: the cost of deciding, and not of refusing, is compared. */
const MAX = 1_000_000_000;

/** Measures the statements that write batches, each in turns with the bare statement or the earlier one. */
export const statementsBenchmark = ({ rounds, signal }: StatementsOptions): Promise<StatementsResult> =>
  withOwnDatabase(40, async (databaseUrl) => {
    const { sessions, store } = await ownCounters(databaseUrl);
    const client = new Client(databaseUrl);
    await client.connect();
    try {
      await Selective.createTables(client);
      const times = await inRounds(await formsOf({ client, sessions, store }), rounds, signal);
      const links = await overLinks(databaseUrl, signal);
      const of = (name: string) => times.get(name) ?? [];
      const ratio = (name: string, one: string, other: string) => ({
        name,
        // Inverted, so that more is better, as in every other ratio.
        spread: spread(of(one).map((us, i) => (of(other)[i] ?? Number.NaN) / us)),
      });
      return {
        measured: [...times].map(([name, us]) => ({ name, us: spread(us) })),
        links,
        ratios: [
          {
            ...ratio('bare upsert ÷ one counter (time)', 'one counter', 'upsert of 1 row'),
            atLeast: 0.8,
            aim: 0.83,
          },
          {
            ...ratio('bare upsert ÷ 64 counters (time)', '64 counters', 'upsert of 64 rows'),
            atLeast: 0.74,
            aim: 0.83,
          },
          {
            ...ratio(
              'selective ÷ decided, 64 on one counter (time)',
              'decided, 64 on one',
              'selective, 64 on one',
            ),
            atLeast: 1.25,
            aim: 1.67,
          },
          {
            ...ratio(
              'selective ÷ decided, 64 on 64 counters (time)',
              'decided, 64 on 64',
              'selective, 64 on 64',
            ),
          },
          { ...ratio('selective ÷ decided, 1 request (time)', 'decided, 1', 'selective, 1') },
        ],
      };
    } finally {
      await client.end();
      await sessions.end();
    }
  });

async function formsOf({ client, sessions, store }: Connected): Promise<Form[]> {
  const selective = new Selective(client, randomUUID());
  await selective.register();
  const writer = await numbered(store);
  const upsert = (rows: number): Form => ({
    name: `upsert of ${rows} ${rows === 1 ? 'row' : 'rows'}`,
    write: () =>
      sessions.query({
        name: `upsert-${rows}`,
        text: `insert into ${SCHEMA}.counters as c (name, value)
               ${rows === 1 ? 'values ($1, $2)' : 'select * from unnest($1::text[], $2::bigint[])'}
               on conflict (period, name, starts_at) do update set value = c.value + excluded.value returning value`,
        values: rows === 1 ? ['n000', 1] : [names(rows, rows), names(rows, rows).map(() => 1)],
      }),
  });
  const plain = (rows: number): Form => ({
    name: rows === 1 ? 'one counter' : `${rows} counters`,
    write: () =>
      store.write(
        compose(names(rows, rows).map((name) => pendingOf({ increments: [{ name, by: 1 }] }))),
        writer(),
      ),
  });
  const decided = (name: string, count: number, rows: number): Form[] => [
    { name: `decided, ${name}`, write: () => writeDecided(store, writer(), names(count, rows)) },
    { name: `selective, ${name}`, write: () => selective.write(names(count, rows), MAX) },
  ];
  return [
    upsert(1),
    plain(1),
    upsert(64),
    plain(64),
    ...decided('1', 1, 1),
    ...decided('64 on one', 64, 1),
    ...decided('64 on 64', 64, 64),
  ];
}

/** Registers a writer, and numbers its batches. */
async function numbered(store: CounterStore) {
  const writer = randomUUID();
  await store.register(writer);
  let seq = 0;
  return () => ({ writer, seq: (seq += 1) });
}

function writeDecided(store: CounterStore, id: { writer: string; seq: number }, wanted: readonly string[]) {
  const requests = wanted.map((name) => pendingOf({ increments: [{ name, by: 1, max: MAX }] }));
  return store.decide(requests, id, (world) => decide(requests, world));
}

/** @returns for each form, the time of a batch in each round, in microseconds */
async function inRounds(
  forms: readonly Form[],
  rounds: number,
  signal: AbortSignal,
): Promise<Map<string, number[]>> {
  const times = new Map(forms.map(({ name }) => [name, [] as number[]]));
  // The first round warms up.
  for (let round = 0; round <= rounds; round += 1) {
    progress('statements', round, rounds);
    const us = forms.map((): number[] => []);
    // In short turns, so that all of them meet the same disk.
    for (let i = 0; i < TURNS; i += 1) {
      signal.throwIfAborted();
      for (const [at, form] of forms.entries())
        for (let j = 0; j < BATCHES; j += 1) {
          const startedAt = performance.now();
          await form.write();
          us[at]?.push((performance.now() - startedAt) * 1000);
        }
    }
    if (round > 0)
      for (const [at, { name }] of forms.entries()) times.get(name)?.push(spread(us[at] ?? []).median);
  }
  return times;
}

/** The same decisions with a network between the writers and the server. */
async function overLinks(databaseUrl: string, signal: AbortSignal): Promise<StatementsResult['links']> {
  const link = new DelayedLink();
  const url = new URL(databaseUrl);
  url.port = String(await link.listen(Number(url.port)));
  const { sessions, store } = await ownCounters(url.href);
  const clients = await Promise.all(
    [1, 2, 3].map(async () => {
      const client = new Client(url.href);
      await client.connect();
      return client;
    }),
  );
  try {
    const wanted = names(64, 1);
    const decided = await Promise.all(clients.map(() => numbered(store)));
    const earlier = clients.map((client) => new Selective(client, randomUUID()));
    for (const one of earlier) await one.register();
    const results: StatementsResult['links'] = [];
    for (const roundTripMs of ROUND_TRIPS_MS)
      for (const writers of [1, 3]) {
        progress('statements over a network', results.length, ROUND_TRIPS_MS.length * 2);
        signal.throwIfAborted();
        link.roundTripMs = roundTripMs;
        const decidedMs = await parallel(
          decided.slice(0, writers).map((id) => () => writeDecided(store, id(), wanted)),
        );
        const selectiveMs = await parallel(
          earlier.slice(0, writers).map((one) => () => one.write(wanted, MAX)),
        );
        results.push({ roundTripMs, writers, decidedMs, selectiveMs });
      }
    return results;
  } finally {
    link.roundTripMs = 0;
    await Promise.all(clients.map((client) => client.end()));
    await sessions.end();
    await link.close();
  }
}

/** @returns the median time of a batch, in milliseconds, when these writers write at the same time */
async function parallel(writers: readonly (() => Promise<unknown>)[]): Promise<number> {
  const each = await Promise.all(
    writers.map(async (write) => {
      const ms: number[] = [];
      for (let i = 0; i < BATCHES; i += 1) {
        const startedAt = performance.now();
        await write();
        ms.push(performance.now() - startedAt);
      }
      return ms;
    }),
  );
  return spread(each.flat()).median;
}

export function statementsTables({ measured, links }: StatementsResult): string {
  return [
    '\nmicroseconds a batch, on a connection without delay; commits are durable',
    table(
      ['batch', 'median', 'lowest', 'highest'],
      measured.map(({ name, us }) => [name, us.median, us.min, us.max]),
    ),
    '64 requests with bounds on one counter, milliseconds a batch, with a network in between',
    table(
      ['round trip, ms', 'writers', 'decided', 'selective', 'ratio'],
      links.map(({ roundTripMs, writers, decidedMs, selectiveMs }) => [
        String(roundTripMs),
        String(writers),
        decidedMs.toFixed(2),
        selectiveMs.toFixed(2),
        (decidedMs / selectiveMs).toFixed(2),
      ]),
    ),
  ].join('\n\n');
}

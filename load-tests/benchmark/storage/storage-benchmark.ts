import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { progress } from '../../../src/command-line/progress.ts';
import { table, thousands } from '../../../src/command-line/table.ts';
import type { CounterStore } from '../../../src/counters/store.ts';
import { CounterWriter } from '../../../src/counters/writer.ts';
import { spread } from '../../shared/spread.ts';
import { ownCounters, SCHEMA } from '../../shared/own-counters.ts';
import { withOwnDatabase } from '../../shared/own-database.ts';
import { openSnapshotCosts, type SnapshotCost, snapshotRows } from './open-snapshot.ts';

export interface StorageOptions {
  /** The number of increments before the measurement. */
  preload: number;
  signal: AbortSignal;
}

/** Bytes of WAL per increment, by the number of callers. */
interface WalResult {
  keyed: boolean;
  callers: number;
  walBytes: number;
}

export interface StorageResult {
  preload: number;
  wal: WalResult[];
  /** Bytes of each table with its indexes, at the end. */
  tables: { name: string; bytes: number }[];
  /** The duration of each removal of 1,000 expired keys while an old snapshot was open, in milliseconds. */
  removalMs: number[];
  /** One caller's increments of one counter before, while and after a snapshot is open. */
  snapshot: SnapshotCost[];
}

const LOAD_CALLERS = 512;

/** The number of measured increments, by the number of callers. */
const MEASURED: readonly [callers: number, increments: number][] = [
  [1, 2000],
  [128, 50_000],
];

const noListeners = { written: () => {}, retried: () => {}, settled: () => {}, replayed: () => {} };

/** Measures what increments leave on disk. In process, because HTTP only adds time; bytes do not depend on the machine. */
export const storageBenchmark = ({ preload, signal }: StorageOptions): Promise<StorageResult> =>
  withOwnDatabase(20, async (databaseUrl) => {
    const { sessions, store } = await ownCounters(databaseUrl);
    const client = new Client(databaseUrl);
    await client.connect();
    const writer = new CounterWriter(store, noListeners, { queueMax: 100_000 });
    try {
      const wal: WalResult[] = [];
      for (const keyed of [false, true]) {
        await count(writer, preload, LOAD_CALLERS, keyed, signal);
        for (const [callers, increments] of MEASURED) {
          const before = await walAt(client);
          await count(writer, increments, callers, keyed, signal);
          wal.push({ keyed, callers, walBytes: ((await walAt(client)) - before) / increments });
        }
      }
      const tables = await sizes(client);
      const snapshot = await openSnapshotCosts(client, databaseUrl, (n) =>
        count(writer, n, 1, false, signal),
      );
      const removalMs = await removal(client, store, databaseUrl, signal);
      return { preload, wal, tables, removalMs, snapshot };
    } finally {
      await client.end();
      await sessions.end();
    }
  });

/** Increments one counter with this many concurrent callers. */
async function count(
  writer: CounterWriter,
  increments: number,
  callers: number,
  keyed: boolean,
  signal: AbortSignal,
): Promise<void> {
  let left = increments;
  const call = async () => {
    while (left > 0) {
      left -= 1;
      signal.throwIfAborted();
      if (left % 1000 === 0)
        progress(keyed ? 'with a key each' : 'without keys', increments - left, increments);
      await writer.submit({ increments: [{ name: 'hot', by: 1 }], key: keyed ? randomUUID() : undefined });
    }
  };
  await Promise.all(Array.from({ length: callers }, call));
}

async function walAt(client: Client): Promise<number> {
  const { rows } = await client.query<{ wal: string }>(`select pg_current_wal_insert_lsn() - '0/0' as wal`);
  return Number(rows[0]?.wal);
}

async function sizes(client: Client): Promise<StorageResult['tables']> {
  const { rows } = await client.query<{ name: string; bytes: string }>(
    `select relname as name, pg_total_relation_size(oid) as bytes from pg_class
     where relname in ('counters', 'writers', 'idempotency_keys') and relnamespace = '${SCHEMA}'::regnamespace
     order by relname`,
  );
  return rows.map(({ name, bytes }) => ({ name, bytes: Number(bytes) }));
}

/** An old snapshot preserves the index entries of removed keys, so each portion has to start after them. */
async function removal(
  client: Client,
  store: CounterStore,
  databaseUrl: string,
  signal: AbortSignal,
): Promise<number[]> {
  const old = new Client(databaseUrl);
  await old.connect();
  try {
    await old.query('begin isolation level repeatable read');
    await old.query(`select count(*) from ${SCHEMA}.counters`);
    await client.query(`update ${SCHEMA}.idempotency_keys set expires_at = expires_at - interval '2 days'`);
    const portions: number[] = [];
    let last: string | undefined;
    for (let removed = 1000; removed === 1000 && portions.length < 200; ) {
      signal.throwIfAborted();
      progress('removing keys', portions.length, 200);
      const startedAt = performance.now();
      ({ count: removed, last } = await store.removeKeys(1000, last));
      portions.push(performance.now() - startedAt);
    }
    return portions;
  } finally {
    await old.end();
  }
}

export function storageTables({ preload, wal, tables, removalMs, snapshot }: StorageResult): string {
  const first = spread(removalMs.slice(1, 11)).median;
  const last = spread(removalMs.slice(-11, -1)).median;
  return [
    `\non disk, after ${thousands(preload)} increments without a key and as many with one`,
    table(
      ['bytes of write-ahead log an increment', ...MEASURED.map(([callers]) => `c = ${callers}`)],
      [false, true].map((keyed) => [
        keyed ? 'a key each' : 'without a key',
        ...wal.filter((one) => one.keyed === keyed).map(({ walBytes }) => walBytes),
      ]),
    ),
    table(
      ['table, with its indexes', 'kB'],
      tables.map(({ name, bytes }) => [name, bytes / 1000]),
    ),
    `removing 1,000 expired keys while an old snapshot is held: ${first.toFixed(1)} ms at first, ` +
      `${last.toFixed(1)} ms after ${removalMs.length} times`,
    table(
      [
        'a snapshot is open, as for pg_dump',
        'increments/s, lone caller',
        'pages to find the row',
        'tables, kB',
      ],
      snapshotRows(snapshot),
    ),
  ].join('\n\n');
}

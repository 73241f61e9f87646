import { readFile } from 'node:fs/promises';
import { Client } from 'pg';
import type { Server } from './servers.ts';

/** How far a server has come. */
export interface Marks {
  /** The sum of all counters. */
  counted: number;
  /** Transactions that wrote. */
  commits: number;
  /** Bytes of write-ahead log. */
  wal: number;
  /** Processor time of each of its processes, by process id, in nanoseconds; undefined where the system does not tell. */
  cpuNs: Map<string, number> | undefined;
}

/** Asks a server how far it has come, before and after a turn. */
export class ServerMarks {
  readonly #client: Client;
  readonly #pid: number;

  constructor({ databaseUrl, pid }: Server) {
    this.#client = new Client(databaseUrl);
    this.#pid = pid;
  }

  async open(): Promise<this> {
    await this.#client.connect();
    return this;
  }

  async close(): Promise<void> {
    await this.#client.end();
  }

  /** Counters that exist before they are counted: what creating them costs is no part of a turn. */
  async createCounters(names: readonly string[]): Promise<void> {
    await this.#client.query(
      'insert into counters (name, value) select unnest($1::text[]), 0 on conflict do nothing',
      [names],
    );
  }

  async read(): Promise<Marks> {
    // The next transaction that writes, and the end of the log: exact at once, unlike pg_stat_database and pg_stat_wal.
    const { rows } = await this.#client.query<{ counted: string; xid: string; wal: string }>(
      `select (select coalesce(sum(value), 0) from counters) as counted,
              pg_snapshot_xmax(pg_current_snapshot()) as xid, pg_current_wal_insert_lsn() - '0/0' as wal`,
    );
    const [row] = rows;
    return {
      counted: Number(row?.counted),
      commits: Number(row?.xid),
      wal: Number(row?.wal),
      cpuNs: await cpuOf(this.#pid),
    };
  }

  /** Keys that are stored, and the bytes of their table with its indexes. */
  async keys(): Promise<{ count: number; bytes: number }> {
    const { rows } = await this.#client.query<{ count: string; bytes: string }>(
      `select count(*) as count, pg_total_relation_size('idempotency_keys') as bytes from idempotency_keys`,
    );
    return { count: Number(rows[0]?.count), bytes: Number(rows[0]?.bytes) };
  }
}

/**
 * Processor time between two marks, in seconds; NaN where the system does not tell. What a process that has ended in
 * between took is missing: a connection that was closed while idle must not count as time that was given back.
 */
export function cpuSecondsBetween(before: Marks, after: Marks): number {
  if (!before.cpuNs || !after.cpuNs) return Number.NaN;
  let ns = 0;
  for (const [pid, now] of after.cpuNs) ns += now - (before.cpuNs.get(pid) ?? 0);
  return ns / 1e9;
}

/** A server is one process and those that it started. Linux tells; elsewhere undefined. */
async function cpuOf(pid: number): Promise<Marks['cpuNs']> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => undefined);
  if (children === undefined) return undefined;
  const times = new Map<string, number>();
  for (const each of [String(pid), ...children.split(' ').filter(Boolean)]) {
    // The first number: nanoseconds on a processor. A process that has just ended has no such file.
    const text = await readFile(`/proc/${each}/schedstat`, 'utf8').catch(() => undefined);
    if (text !== undefined) times.set(each, Number(text.split(' ')[0]));
  }
  return times;
}

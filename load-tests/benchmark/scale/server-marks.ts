import { readFile } from 'node:fs/promises';
import { Client } from 'pg';
import { SCHEMA } from '../../shared/own-counters.ts';
import type { Server } from './servers.ts';

/** The cumulative figures of a server at one moment. */
export interface Marks {
  /** The sum of all counters. */
  counted: number;
  /** The number of transactions that wrote. */
  commits: number;
  /** Bytes of write-ahead log. */
  wal: number;
  /** Processor time of each of its processes, by process id, in nanoseconds; undefined: the system does not report it. */
  cpuNs: Map<string, number> | undefined;
}

/** Reads the cumulative figures of a server, before and after a turn. */
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

  /** Creates the counters in advance, so that turns do not include the cost. */
  async createCounters(names: readonly string[]): Promise<void> {
    await this.#client.query(
      `insert into ${SCHEMA}.counters (name, value) select unnest($1::text[]), 0 on conflict do nothing`,
      [names],
    );
  }

  async read(): Promise<Marks> {
    // The next transaction id and the end of the WAL: always exact, unlike pg_stat_database and pg_stat_wal.
    const { rows } = await this.#client.query<{ counted: string; xid: string; wal: string }>(
      `select (select coalesce(sum(value), 0) from ${SCHEMA}.counters) as counted,
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

  /** The number of stored keys, and the size of their table with its indexes, in bytes. */
  async keys(): Promise<{ count: number; bytes: number }> {
    const { rows } = await this.#client.query<{ count: string; bytes: string }>(
      `select count(*) as count, pg_total_relation_size('${SCHEMA}.idempotency_keys') as bytes from ${SCHEMA}.idempotency_keys`,
    );
    return { count: Number(rows[0]?.count), bytes: Number(rows[0]?.bytes) };
  }
}

/**
 * Processor time between two moments, in seconds; NaN if the system does not report it. Processes that ended in between
 * are left out: the difference would otherwise be negative for a connection that was closed while idle.
 */
export function cpuSecondsBetween(before: Marks, after: Marks): number {
  if (!before.cpuNs || !after.cpuNs) return Number.NaN;
  let ns = 0;
  for (const [pid, now] of after.cpuNs) ns += now - (before.cpuNs.get(pid) ?? 0);
  return ns / 1e9;
}

/** The processor time of the postmaster and its children; undefined on systems other than Linux. */
async function cpuOf(pid: number): Promise<Marks['cpuNs']> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => undefined);
  if (children === undefined) return undefined;
  const times = new Map<string, number>();
  for (const each of [String(pid), ...children.split(' ').filter(Boolean)]) {
    // The first number is the time on a processor, in nanoseconds. The file is missing if the process has just ended.
    const text = await readFile(`/proc/${each}/schedstat`, 'utf8').catch(() => undefined);
    if (text !== undefined) times.set(each, Number(text.split(' ')[0]));
  }
  return times;
}

import { Client } from 'pg';
import { SCHEMA } from '../../shared/own-counters.ts';
import { type OwnService, startOwnService } from '../../shared/own-service.ts';
import type { Load, Seen } from './load.ts';
import { LoadGenerator } from './load-generator.ts';
import type { HttpSubject } from './subjects.ts';

/** The results of one turn of a subject. */
export interface Turn {
  subject: string;
  connections: number;
  seen: Seen;
  /** CPU time of the service per answer, in microseconds. */
  serviceUs: number;
  /** Writing transactions and bytes of WAL per increment; undefined: the server does not report them. */
  commits: number | undefined;
  walBytes: number | undefined;
}

interface Marks {
  counted: number;
  xid: number;
  wal: number;
  cpuS: number;
}

/** The service, the routes to compare it with, their database and the load generator. */
export class Workbench {
  readonly #database: Client;
  readonly #generator = new LoadGenerator();
  readonly #service: OwnService;

  private constructor(database: Client, service: OwnService) {
    this.#database = database;
    this.#service = service;
  }

  /** @param env the service's configuration */
  static async open(databaseUrl: string, env: NodeJS.ProcessEnv = {}): Promise<Workbench> {
    const service = await startOwnService(
      { DATABASE_URL: databaseUrl, ...env },
      'load-tests/benchmark/http/benchmark-service.ts',
    );
    const database = new Client(databaseUrl);
    await database.connect();
    return new Workbench(database, service);
  }

  /** The address of the service. */
  get url(): string {
    return this.#service.url;
  }

  async close(): Promise<void> {
    await this.#generator.stop();
    await this.#database.end();
    await this.#service.stop();
  }

  /**
   * Loads one subject, and compares its counters with the number of acknowledged increments.
   *
   * @throws {Error} when they differ
   */
  async turn(
    { name, paths, counters, keyed, bulk }: HttpSubject,
    load: Pick<Load, 'connections' | 'ms' | 'arrivals'>,
  ): Promise<Turn> {
    await this.#database.query(
      `insert into ${SCHEMA}.counters (name, value) select unnest($1::text[]), 0 on conflict do nothing`,
      [counters],
    );
    const before = await this.#marks(counters);
    const seen = await this.#generator.offer({
      url: this.#service.url,
      paths,
      keyed,
      body: bulk?.body,
      ...load,
    });
    const after = await this.#marks(counters);
    const counted = after.counted - before.counted;
    if (counters.length > 0) check(name, counted / (bulk?.increments ?? 1), seen.answers);
    return {
      subject: name,
      connections: load.connections,
      seen,
      serviceUs: ((after.cpuS - before.cpuS) * 1e6) / sum(Object.values(seen.answers)),
      commits: each(after.xid - before.xid, counted),
      walBytes: each(after.wal - before.wal, counted),
    };
  }

  async #marks(counters: readonly string[]): Promise<Marks> {
    const { rows } = await this.#database.query<{ counted: string }>(
      `select coalesce(sum(value), 0) as counted from ${SCHEMA}.counters where period = '' and name = any($1)`,
      [counters],
    );
    // The next transaction id and the end of the WAL: exact at once, unlike the statistics views.
    const position = await this.#database
      .query<{ xid: string; wal: string }>(
        `select pg_snapshot_xmax(pg_current_snapshot()) as xid, pg_current_wal_insert_lsn() - '0/0' as wal`,
      )
      .catch(() => ({ rows: [] }));
    const response = await fetch(`${this.#service.url}/metrics`);
    const metrics = await response.text();
    return {
      counted: Number(rows[0]?.counted),
      xid: Number(position.rows[0]?.xid),
      wal: Number(position.rows[0]?.wal),
      cpuS: Number(/^process_cpu_seconds_total (.+)$/m.exec(metrics)?.[1]),
    };
  }
}

/**
 * Checks that acknowledged increments are counted, and that nothing else is, except requests without an answer.
 *
 * @throws {Error} when a count is wrong
 */
export function check(name: string, counted: number, answers: Record<string, number>): void {
  const { 200: acknowledged = 0, 503: refused = 0, ...others } = answers;
  const open = sum(Object.values(others));
  if (counted >= acknowledged && counted <= acknowledged + open) return;
  throw new Error(
    `${name}: ${acknowledged} were acknowledged, ${refused} refused, ${open} neither, and ${counted} counted`,
  );
}

const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);

const each = (all: number, counted: number) =>
  Number.isNaN(all) || counted === 0 ? undefined : all / counted;

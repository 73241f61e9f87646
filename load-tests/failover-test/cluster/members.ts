import { isDeepStrictEqual } from 'node:util';
import { Client } from 'pg';
import { until } from '../waiting.ts';
import { SERVICE } from './entrance.ts';
import type { Node } from './node.ts';
import { PASSWORDS } from './patroni-config.ts';

/** The time limit for the cluster to be complete again, in milliseconds. A standby may need a new base backup. */
const WHOLE_MS_MAX = 180_000;

/** The time limit for a failover, in milliseconds. */
const PROMOTION_MS_MAX = 90_000;

/** The nodes of a cluster and their current roles. */
export class Members {
  readonly nodes: readonly Node[];
  readonly #synchronous: boolean;
  readonly #signal: AbortSignal;

  /** @param signal aborted when every wait has to end */
  constructor(nodes: readonly Node[], synchronous: boolean, signal: AbortSignal) {
    this.nodes = nodes;
    this.#synchronous = synchronous;
    this.#signal = signal;
  }

  /** The current primary, if there is one. */
  async primary(): Promise<Node | undefined> {
    return this.#nodeThatIs('primary');
  }

  /** @throws {Error} when there is no primary within the time limit */
  primaryNow(): Promise<Node> {
    return until('a primary', () => this.primary(), this.#bound(PROMOTION_MS_MAX));
  }

  /** @throws {Error} when there is none within the time limit */
  synchronousStandby(): Promise<Node> {
    const look = async () => {
      const names = (await (await this.primary())?.synchronousStandbys()) ?? [];
      return this.nodes.find(({ name }) => names.includes(name));
    };
    return until('a synchronous standby', look, this.#bound(PROMOTION_MS_MAX));
  }

  /** Waits until another node is primary. @throws {Error} when none is within the time limit */
  successorOf(node: Node, msMax = PROMOTION_MS_MAX): Promise<Node> {
    const look = async () => {
      const primary = await this.primary();
      return primary !== node && primary;
    };
    return until(`another primary than ${node.name}`, look, this.#bound(msMax));
  }

  /**
   * Waits for a primary from which both other nodes receive what it writes. (A standby with another history streams as
   * well for a moment, before it is rewound.) With synchronous replication, one of them must be the synchronous standby
   * for the primary and in etcd: a primary that has just been promoted waits for any standby, and until it has chosen one,
   * no standby may take over from it.
   *
   * @throws {Error} when they do not within the time limit
   */
  async whole(): Promise<void> {
    let written: { by: Node; lsn: string } | undefined;
    const look = async () => {
      const primary = await this.primary();
      if (!primary) return false;
      if (written?.by !== primary) {
        await this.committed(primary);
        const [row] = await this.query('select pg_current_wal_lsn() as lsn', primary);
        written = { by: primary, lsn: String(row?.lsn) };
      }
      const [row] = await this.query(
        `select count(*) filter (where state = 'streaming' and replay_lsn >= '${written.lsn}')::int as streaming,
                array_agg(application_name) filter (where sync_state = 'sync') as synchronous
         from pg_stat_replication where application_name like 'pg_'`,
        primary,
      );
      if (row?.streaming !== this.nodes.length - 1) return false;
      const others = this.nodes.filter((node) => node !== primary);
      if (!(await Promise.all(others.map((node) => node.is('replica')))).every(Boolean)) return false;
      if (!this.#synchronous) return true;
      return isDeepStrictEqual(row.synchronous, await primary.synchronousStandbys());
    };
    await until('a primary and two standbys', look, this.#bound(WHOLE_MS_MAX));
  }

  /** Waits until that node commits, which may need a standby. @throws {Error} when it does not within the time limit */
  async committed(node: Node): Promise<void> {
    const write = async () => {
      await this.query("comment on database postgres is 'written to see a commit'", node);
      return true;
    };
    await until(`a commit on ${node.name}`, write, this.#bound(PROMOTION_MS_MAX));
  }

  /** Queries the primary directly, as superuser. */
  async query(text: string, node?: Node, database = 'postgres'): Promise<Record<string, unknown>[]> {
    const client = await this.connect(node, database);
    try {
      return (await client.query<Record<string, unknown>>(text)).rows;
    } finally {
      await client.end();
    }
  }

  /** A connection that bypasses every proxy. The caller ends it. */
  async connect(node?: Node, database: string = SERVICE): Promise<Client> {
    const { ports } = node ?? (await this.primaryNow());
    const client = new Client({
      connectionString: `postgresql://postgres:${PASSWORDS.superuser}@127.0.0.1:${ports.postgres}/${database}`,
      connectionTimeoutMillis: 5000,
      query_timeout: 60_000,
    });
    client.on('error', () => {});
    await client.connect();
    return client;
  }

  async #nodeThatIs(role: string): Promise<Node | undefined> {
    const answers = await Promise.all(this.nodes.map((node) => node.is(role).catch(() => false)));
    return this.nodes.find((_, i) => answers[i]);
  }

  #bound(msMax: number) {
    return { msMax, signal: this.#signal };
  }
}

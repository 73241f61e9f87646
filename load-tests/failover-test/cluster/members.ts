import { Client } from 'pg';
import { until } from '../waiting.ts';
import { SERVICE } from './entrance.ts';
import type { Node } from './node.ts';
import { PASSWORDS } from './patroni-config.ts';

/** How long the cluster may take until it is whole: a standby may have to be copied anew. In milliseconds. */
const WHOLE_MS_MAX = 180_000;

/** How long another node may take to lead, in milliseconds. */
const PROMOTION_MS_MAX = 90_000;

/** The nodes of a cluster, and what each of them is at the moment. */
export class Members {
  readonly nodes: readonly Node[];
  readonly #synchronous: boolean;
  readonly #signal: AbortSignal;

  /** @param signal aborted when nothing may be waited for any more */
  constructor(nodes: readonly Node[], synchronous: boolean, signal: AbortSignal) {
    this.nodes = nodes;
    this.#synchronous = synchronous;
    this.#signal = signal;
  }

  /** The node that leads, if one does. */
  async primary(): Promise<Node | undefined> {
    return this.#nodeThatIs('primary');
  }

  /** @throws {Error} when no node leads in time */
  primaryNow(): Promise<Node> {
    return until('a primary', () => this.primary(), this.#bound(PROMOTION_MS_MAX));
  }

  /** @throws {Error} when there is none in time */
  synchronousStandby(): Promise<Node> {
    return until('a synchronous standby', () => this.#nodeThatIs('sync'), this.#bound(PROMOTION_MS_MAX));
  }

  /** Waits until another node leads. @throws {Error} when none does in time */
  successorOf(node: Node, msMax = PROMOTION_MS_MAX): Promise<Node> {
    const look = async () => {
      const primary = await this.primary();
      return primary !== node && primary;
    };
    return until(`another primary than ${node.name}`, look, this.#bound(msMax));
  }

  /** Waits until one node leads and both others stream from it. @throws {Error} when they do not in time */
  async whole(): Promise<void> {
    const look = async () => {
      const primary = await this.primary();
      if (!primary) return false;
      const [row] = await this.query(
        `select count(*) filter (where state = 'streaming')::int as streaming,
                count(*) filter (where sync_state in ('sync', 'quorum'))::int as synchronous
         from pg_stat_replication where application_name like 'pg_'`,
        primary,
      );
      if (row?.streaming !== this.nodes.length - 1) return false;
      const others = this.nodes.filter((node) => node !== primary);
      if (!(await Promise.all(others.map((node) => node.is('replica')))).every(Boolean)) return false;
      if (!this.#synchronous) return true;
      return row.synchronous === 1 && (await this.#nodeThatIs('sync')) !== undefined;
    };
    await until('a primary and two standbys', look, this.#bound(WHOLE_MS_MAX));
  }

  /** Waits until that node commits, which may need a standby. @throws {Error} when it does not in time */
  async committed(node: Node): Promise<void> {
    const write = async () => {
      await this.query("comment on database postgres is 'written to see a commit'", node);
      return true;
    };
    await until(`a commit on ${node.name}`, write, this.#bound(PROMOTION_MS_MAX));
  }

  /** Asks the server of the primary itself, as its superuser. */
  async query(text: string, node?: Node, database = 'postgres'): Promise<Record<string, unknown>[]> {
    const client = await this.connect(node, database);
    try {
      return (await client.query<Record<string, unknown>>(text)).rows;
    } finally {
      await client.end();
    }
  }

  /** A connection around every proxy; the caller ends it. */
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

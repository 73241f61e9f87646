import { execFile } from 'node:child_process';
import { chown, cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { serverAccount } from '../../../src/embedded-postgres/home.ts';
import type { Random } from '../../fault-test/world/random.ts';
import { ownFolder } from '../../shared/own-folder.ts';
import type { Programs } from '../programs.ts';
import { until } from '../waiting.ts';
import { SERVICE, serviceUrl, startHaproxy, startPgBouncer } from './entrance.ts';
import { Etcd } from './etcd.ts';
import { Node, type NodePorts } from './node.ts';
import { PASSWORDS, SCOPE } from './patroni-config.ts';
import { steadyPorts } from './ports.ts';
import { allProcesses, environment, killAll, processesOf, type Run } from './processes.ts';

/** How long the cluster may take until it is whole: a standby may have to be copied anew. In milliseconds. */
const WHOLE_MS_MAX = 180_000;

/** How long another node may take to lead, in milliseconds. */
const PROMOTION_MS_MAX = 90_000;

/** How long a command to Patroni may take, in milliseconds. */
const COMMAND_MS_MAX = 60_000;

const NODES = 3;

export interface ClusterOptions {
  programs: Programs;
  /** Whether commits wait for a standby, always (synchronous_mode and synchronous_mode_strict), or never. */
  synchronous: boolean;
  random: Random;
  /** Aborted when nothing may be waited for any more. */
  signal: AbortSignal;
  /** Where to leave the logs of its programs. */
  logs?: string | undefined;
}

/** What limits sessions: a pooler passes nothing on, so the role has it, too. In milliseconds, the service's defaults. */
export const SESSION_MS = {
  lock_timeout: 5000,
  statement_timeout: 10_000,
  idle_in_transaction_session_timeout: 10_000,
} as const;

/** etcd, three nodes of Patroni and PostgreSQL, HAProxy and PgBouncer, in a folder and at ports of their own. */
export class Cluster {
  readonly nodes: readonly Node[];
  readonly etcd: Etcd;
  /** Where the service finds the primary: HAProxy, and PgBouncer before it. */
  readonly ports: { haproxy: number; pgbouncer: number };
  readonly #folder: string;
  readonly #options: ClusterOptions;

  private constructor(folder: string, options: ClusterOptions, ports: readonly number[]) {
    const next = ports.values();
    const port = () => next.next().value ?? 0;
    const { programs } = options;
    this.#folder = folder;
    this.#options = options;
    this.ports = { haproxy: port(), pgbouncer: port() };
    const etcd = { client: port(), peer: port() };
    this.etcd = new Etcd(programs.etcd, join(folder, 'etcd'), this.#run('etcd'), etcd);
    this.nodes = Array.from({ length: NODES }, (_, i) => {
      const name = `pg${i + 1}`;
      const own: NodePorts = {
        postgres: port(),
        rest: port(),
        peers: port(),
        etcd: port(),
        entrance: port(),
        checks: port(),
      };
      return new Node(programs.patroni, name, join(folder, name), this.#run(name), own, etcd.client);
    });
  }

  /** Runs `work` with a cluster, of which nothing is left. */
  static async with<T>(options: ClusterOptions, work: (cluster: Cluster) => Promise<T>): Promise<T> {
    const folder = await ownFolder('failover');
    const cluster = new Cluster(folder, options, await steadyPorts(4 + NODES * 6, options.random));
    try {
      await cluster.#start();
      return await work(cluster);
    } finally {
      await cluster.#remove();
    }
  }

  /** The address of the service's database at that port: the last one that leads. */
  databaseUrl(port = this.ports.haproxy): string {
    return serviceUrl(port);
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
      if (row?.streaming !== NODES - 1) return false;
      const others = this.nodes.filter((node) => node !== primary);
      if (!(await Promise.all(others.map((node) => node.is('replica')))).every(Boolean)) return false;
      if (!this.#options.synchronous) return true;
      return row.synchronous === 1 && (await this.#nodeThatIs('sync')) !== undefined;
    };
    await until('a primary and two standbys', look, this.#bound(WHOLE_MS_MAX));
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

  /** An empty database for the service. */
  async empty(): Promise<void> {
    await this.query(`drop database if exists ${SERVICE} with (force)`);
    await this.query(`create database ${SERVICE} owner ${SERVICE}`);
  }

  /** @throws {Error} with what it says */
  async patronictl(...args: string[]): Promise<void> {
    const { programs, signal } = this.#options;
    const [node] = this.nodes;
    const { account, home } = this.#run('patronictl');
    await promisify(execFile)(
      programs.patronictl,
      ['-c', node?.configFile ?? '', ...args.slice(0, 1), SCOPE, ...args.slice(1)],
      {
        ...account,
        cwd: '/',
        env: environment(home),
        timeout: COMMAND_MS_MAX,
        signal,
      },
    );
  }

  async #start(): Promise<void> {
    const { programs, signal, synchronous } = this.#options;
    const { account } = this.#run('');
    await mkdir(join(this.#folder, 'logs'));
    for (const node of this.nodes) await node.prepare({ bin: programs.postgres, synchronous });
    await mkdir(join(this.#folder, 'etcd'), { mode: 0o700 });
    if (account)
      for (const name of ['', 'etcd', ...this.nodes.map((node) => node.name)])
        await chown(join(this.#folder, name), account.uid, account.gid);
    await this.etcd.start(signal);
    const [first, ...others] = this.nodes;
    await first?.start();
    await this.primaryNow();
    for (const node of others) await node.start();
    const { haproxy, pgbouncer } = this.ports;
    const folder = (name: string) => join(this.#folder, name);
    await startHaproxy(programs.haproxy, folder('haproxy'), this.#run('haproxy'), haproxy, this.nodes);
    await startPgBouncer(programs.pgbouncer, folder('pgbouncer'), this.#run('pgbouncer'), pgbouncer, haproxy);
    await this.whole();
    await this.#prepareRole();
  }

  async #prepareRole(): Promise<void> {
    await this.query(`create role ${SERVICE} login password '${PASSWORDS.service}'`);
    for (const [name, ms] of Object.entries(SESSION_MS))
      await this.query(`alter role ${SERVICE} set ${name} = '${ms}ms'`);
    await this.empty();
  }

  /** Ends everything, however it is, and removes its data. */
  async #remove(): Promise<void> {
    await killAll(async () => processesOf(await allProcesses(), this.#folder));
    await Promise.all(this.nodes.map((node) => node.close()));
    const { logs } = this.#options;
    if (logs) await cp(join(this.#folder, 'logs'), logs, { recursive: true });
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 3 });
  }

  async #nodeThatIs(role: string): Promise<Node | undefined> {
    const answers = await Promise.all(this.nodes.map((node) => node.is(role).catch(() => false)));
    return this.nodes.find((_, i) => answers[i]);
  }

  #bound(msMax: number) {
    return { msMax, signal: this.#options.signal };
  }

  #run(name: string): Run {
    const account = process.getuid?.() === 0 ? serverAccount() : undefined;
    return { account, home: this.#folder, log: join(this.#folder, 'logs', `${name}.log`) };
  }
}

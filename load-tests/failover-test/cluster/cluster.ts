import { execFile } from 'node:child_process';
import { chown, cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { accountOfServers } from '../../../src/embedded-postgres/home.ts';
import { ownFolder } from '../../shared/own-folder.ts';
import type { Programs } from '../programs.ts';
import { hostsUrl, SERVICE, serviceUrl, startHaproxy, startPgBouncer, type Way } from './entrance.ts';
import { Etcd } from './etcd.ts';
import { withoutLeftovers } from './leftovers.ts';
import { Members } from './members.ts';
import { Node, type NodePorts } from './node.ts';
import { PASSWORDS, SCOPE } from './patroni-config.ts';
import { steadyPorts } from './ports.ts';
import { allProcesses, environment, killAll, processesOf, type Run } from './processes.ts';

/** The time limit of a patronictl command, in milliseconds. */
const COMMAND_MS_MAX = 60_000;

const NODES = 3;

export interface ClusterOptions {
  programs: Programs;
  /** Whether commits wait for a standby, always (synchronous_mode and synchronous_mode_strict), or never. */
  synchronous: boolean;
  /** Aborted when every wait has to end. */
  signal: AbortSignal;
  /** The folder for the logs of its programs. */
  logs?: string | undefined;
}

/**
 * The timeouts of sessions, in milliseconds: the service's defaults. They are set for the role as well, because a pooler
 * does not forward settings.
 */
export const SESSION_MS = {
  lock_timeout: 5000,
  statement_timeout: 10_000,
  idle_in_transaction_session_timeout: 10_000,
} as const;

/** etcd, three nodes of Patroni and PostgreSQL, HAProxy and PgBouncer, in their own folder and on their own ports. */
export class Cluster {
  readonly members: Members;
  readonly etcd: Etcd;
  readonly #ports: { haproxy: number; pgbouncer: number };
  readonly #folder: string;
  readonly #options: ClusterOptions;
  readonly #account = accountOfServers();

  private constructor(folder: string, options: ClusterOptions, ports: readonly number[]) {
    const next = ports.values();
    const port = () => next.next().value ?? 0;
    const { programs } = options;
    this.#folder = folder;
    this.#options = options;
    this.#ports = { haproxy: port(), pgbouncer: port() };
    const etcd = { client: port(), peer: port() };
    this.etcd = new Etcd(programs.etcd, join(folder, 'etcd'), this.#run('etcd'), etcd);
    const nodes = Array.from({ length: NODES }, (_, i) => {
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
    this.members = new Members(nodes, options.synchronous, options.signal);
  }

  /** Runs `work` with a cluster, and removes the cluster afterwards. */
  static async with<T>(options: ClusterOptions, work: (cluster: Cluster) => Promise<T>): Promise<T> {
    const ports = await steadyPorts(4 + NODES * 6);
    const folder = await ownFolder('failover');
    return withoutLeftovers(folder, async () => {
      const cluster = new Cluster(folder, options, ports);
      try {
        await cluster.#start();
        return await work(cluster);
      } finally {
        await cluster.#remove();
      }
    });
  }

  /** The target port of a replica's own proxy, and the address of the service's database through that proxy. */
  address(way: Way): { port: number; databaseUrl: (through: number) => string } {
    const { haproxy, pgbouncer } = this.#ports;
    if (way === 'hosts') return { port: haproxy, databaseUrl: () => hostsUrl(this.members.nodes) };
    return { port: way === 'pgbouncer' ? pgbouncer : haproxy, databaseUrl: serviceUrl };
  }

  /** Gives the service an empty database. */
  async empty(): Promise<void> {
    await this.members.query(`drop database if exists ${SERVICE} with (force)`);
    await this.members.query(`create database ${SERVICE} owner ${SERVICE}`);
  }

  /** @throws {Error} with the output of patronictl */
  async patronictl(...args: string[]): Promise<void> {
    const { programs, signal } = this.#options;
    const [node] = this.members.nodes;
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
    const account = this.#account;
    await mkdir(join(this.#folder, 'logs'));
    for (const node of this.members.nodes) await node.prepare({ bin: programs.postgres, synchronous });
    await mkdir(join(this.#folder, 'etcd'), { mode: 0o700 });
    if (account)
      for (const name of ['', 'etcd', ...this.members.nodes.map((node) => node.name)])
        await chown(join(this.#folder, name), account.uid, account.gid);
    await this.etcd.start(signal);
    const [first, ...others] = this.members.nodes;
    await first?.start();
    await this.members.primaryNow();
    for (const node of others) await node.start();
    const { haproxy, pgbouncer } = this.#ports;
    const folder = (name: string) => join(this.#folder, name);
    await startHaproxy(
      programs.haproxy,
      folder('haproxy'),
      this.#run('haproxy'),
      haproxy,
      this.members.nodes,
    );
    await startPgBouncer(programs.pgbouncer, folder('pgbouncer'), this.#run('pgbouncer'), pgbouncer, haproxy);
    await this.members.whole();
    await this.#prepareRole();
  }

  async #prepareRole(): Promise<void> {
    await this.members.query(`create role ${SERVICE} login password '${PASSWORDS.service}'`);
    for (const [name, ms] of Object.entries(SESSION_MS))
      await this.members.query(`alter role ${SERVICE} set ${name} = '${ms}ms'`);
    await this.empty();
  }

  /** Ends all processes, whatever their state, and removes their data. */
  async #remove(): Promise<void> {
    try {
      await killAll(async () => processesOf(await allProcesses(), this.#folder));
    } finally {
      await Promise.all(this.members.nodes.map((node) => node.close()));
    }
    const { logs } = this.#options;
    if (logs) await cp(join(this.#folder, 'logs'), logs, { recursive: true });
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 3 });
  }

  #run(name: string): Run {
    return { account: this.#account, home: this.#folder, log: join(this.#folder, 'logs', `${name}.log`) };
  }
}

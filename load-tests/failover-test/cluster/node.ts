import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Link } from './link.ts';
import { type NodeConfig, patroniConfig } from './patroni-config.ts';
import {
  allProcesses,
  killAll,
  type Process,
  processesOf,
  type Run,
  runInBackground,
  signalTo,
} from './processes.ts';

/** The ports of a node's programs and of the links to it. */
export interface NodePorts {
  postgres: number;
  rest: number;
  peers: number;
  etcd: number;
  entrance: number;
  checks: number;
}

/** A node of the cluster: Patroni, its PostgreSQL, and the networks around them. */
export class Node {
  readonly name: string;
  readonly ports: NodePorts;
  /** The link from Patroni to etcd. */
  readonly toEtcd: Link;
  /** The link from the other nodes to its PostgreSQL. */
  readonly fromPeers: Link;
  /** The links from HAProxy to its PostgreSQL and to its Patroni. */
  readonly fromEntrance: readonly [Link, Link];
  readonly #program: string;
  readonly #folder: string;
  readonly #run: Run;

  constructor(program: string, name: string, folder: string, run: Run, ports: NodePorts, etcdPort: number) {
    this.#program = program;
    this.name = name;
    this.#folder = folder;
    this.#run = run;
    this.ports = ports;
    this.toEtcd = new Link(etcdPort);
    this.fromPeers = new Link(ports.postgres);
    this.fromEntrance = [new Link(ports.postgres), new Link(ports.rest)];
  }

  get configFile(): string {
    return join(this.#folder, 'patroni.yml');
  }

  /** Writes the configuration and opens the links. */
  async prepare(config: Pick<NodeConfig, 'bin' | 'synchronous'>): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const { ports, name } = this;
    const text = JSON.stringify(
      patroniConfig({ ...config, name, ports, folder: this.#folder }),
      undefined,
      2,
    );
    // Every JSON document is a YAML document.
    await writeFile(this.configFile, text, { mode: 0o644 });
    const [data, checks] = this.fromEntrance;
    await this.toEtcd.listen(ports.etcd);
    await this.fromPeers.listen(ports.peers);
    await data.listen(ports.entrance);
    await checks.listen(ports.checks);
  }

  /** Starts Patroni, which starts PostgreSQL. */
  start(): Promise<void> {
    return runInBackground(this.#program, [this.configFile], this.#run);
  }

  /** Sends SIGKILL to Patroni and PostgreSQL. */
  kill(): Promise<void> {
    return killAll(() => this.#processes());
  }

  /** Sends SIGKILL to PostgreSQL; Patroni goes on and notices it. */
  async killPostgres(): Promise<void> {
    // Only once: Patroni may start the next postmaster at any time.
    for (const one of await this.#postgres()) signalTo(one, 'SIGKILL');
  }

  /** Sends SIGSTOP to every process, as if the machine were suspended. */
  async stop(): Promise<void> {
    // Twice, because a process may have started another one before it was stopped.
    for (let pass = 0; pass < 2; pass += 1)
      for (const one of await this.#processes()) signalTo(one, 'SIGSTOP');
  }

  async resume(): Promise<void> {
    for (const one of await this.#processes()) signalTo(one, 'SIGCONT');
  }

  /** The WAL receiver of a standby; undefined on a primary. */
  async walReceiver(): Promise<Process | undefined> {
    return (await this.#postgres()).find(({ command }) => /^postgres: .*walreceiver/.test(command));
  }

  /** Whether Patroni confirms this role: `primary`, `replica`, `sync`, … Source: Patroni's documentation, REST API. */
  async is(role: string): Promise<boolean> {
    const response = await fetch(`http://127.0.0.1:${this.ports.rest}/${role}`, {
      method: 'OPTIONS',
      signal: AbortSignal.timeout(1000),
      headers: { connection: 'close' },
    });
    return response.ok;
  }

  /**
   * The synchronous standbys that etcd names at the moment: only they may be promoted. The roles that a node confirms
   * (`is`) are as old as its last look at etcd. Source: Patroni's documentation, GET /cluster.
   */
  async synchronousStandbys(): Promise<string[]> {
    const response = await fetch(`http://127.0.0.1:${this.ports.rest}/cluster`, {
      signal: AbortSignal.timeout(5000),
      headers: { connection: 'close' },
    });
    const { members } = (await response.json()) as { members: { name: string; role: string }[] };
    return members.filter(({ role }) => role === 'sync_standby').map(({ name }) => name);
  }

  async close(): Promise<void> {
    await Promise.all([this.toEtcd, this.fromPeers, ...this.fromEntrance].map((link) => link.close()));
  }

  /** Patroni first, so that it restarts nothing. */
  async #processes(): Promise<Process[]> {
    const all = processesOf(await allProcesses(), this.#folder);
    return all.toSorted((a, b) => Number(isPatroni(b)) - Number(isPatroni(a)));
  }

  /** The postmaster first, so that it restarts nothing. */
  async #postgres(): Promise<Process[]> {
    const all = await allProcesses();
    const ofNode = processesOf(all, this.#folder);
    const data = join(this.#folder, 'data');
    const postmaster = ofNode.find(({ command }) => command.includes(`/postgres -D ${data}`));
    return postmaster ? [postmaster, ...all.filter(({ parent }) => parent === postmaster.pid)] : [];
  }
}

const isPatroni = ({ command }: Process): boolean => command.includes('patroni');

import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { retry } from '../../../src/concurrency/retry.ts';
import { findPrograms, runnablePrograms } from '../../../src/embedded-postgres/home.ts';
import {
  createCluster,
  freePort,
  runningServer,
  type ServerPrograms,
  startServer,
  stopServer,
} from '../../../src/embedded-postgres/server.ts';
import { ownFolder } from '../../shared/own-folder.ts';

const run = promisify(execFile);

/** The PostgreSQL server of a run, with durable commits. It can be killed, stopped and restarted. */
export class Postgres {
  readonly #programs: ServerPrograms;
  readonly #folder: string;
  readonly #port: number;

  private constructor(programs: ServerPrograms, folder: string, port: number) {
    this.#programs = programs;
    this.#folder = folder;
    this.#port = port;
  }

  /** Creates a cluster in a temporary folder, and starts the server. */
  static async create(): Promise<Postgres> {
    const folder = await ownFolder('faults');
    const programs = await runnablePrograms(process.env.POSTGRES_BIN ?? (await findPrograms()), folder);
    const server = new Postgres(programs, folder, await freePort());
    try {
      await createCluster(programs, server.#cluster, PASSWORD);
      await server.start();
      return server;
    } catch (error) {
      await server.remove();
      throw error;
    }
  }

  get port(): number {
    return this.#port;
  }

  /** The address of the database at the server's own port, or at the port of a proxy. */
  databaseUrl(port = this.#port): string {
    return `postgresql://postgres:${PASSWORD}@127.0.0.1:${port}/postgres`;
  }

  /** Removes the tables of the counters. No other session may be open. */
  async empty(): Promise<void> {
    await this.query('drop schema safe_counters cascade');
  }

  /** Starts the server, with retries: after a SIGKILL, processes of the previous one may still be ending. */
  async start(): Promise<void> {
    const settings = { max_connections: '200' };
    const logFile = join(this.#folder, 'postgres.log');
    await retry(() => startServer(this.#programs, this.#cluster, { port: this.#port, logFile, settings }), {
      attemptsMax: 50,
      elapsedMsMax: 30_000,
      delayMsBase: 50,
      delayMsMax: 500,
      retryable: () => true,
    });
  }

  /** Restarts the server as an administrator does: transactions in progress are rolled back. */
  async restart(): Promise<void> {
    await stopServer(this.#programs, this.#cluster);
    await this.start();
  }

  /** Sends a signal to the postmaster and all of its child processes. */
  async signal(signal: NodeJS.Signals): Promise<void> {
    const pids = await this.#pids();
    // The postmaster first, so that it does not replace ended children.
    for (const pid of pids) kill(pid, signal);
  }

  /** Kills all processes of the server, and waits until they have ended. */
  async kill(): Promise<void> {
    const pids = await this.#pids();
    for (const pid of pids) kill(pid, 'SIGKILL');
    const signal = AbortSignal.timeout(10_000);
    while (pids.some((pid) => kill(pid, 0))) await setTimeout(5, undefined, { signal });
  }

  /** Runs a query on a direct connection, bypassing the proxies. */
  async query(text: string, values?: unknown[]): Promise<Record<string, unknown>[]> {
    const client = await this.connect();
    try {
      return (await client.query<Record<string, unknown>>(text, values)).rows;
    } finally {
      await client.end();
    }
  }

  /** Opens a direct connection, bypassing the proxies; the caller closes it. */
  async connect(): Promise<Client> {
    const client = new Client({
      connectionString: this.databaseUrl(),
      connectionTimeoutMillis: 5000,
      query_timeout: 60_000,
    });
    client.on('error', () => {});
    await client.connect();
    return client;
  }

  /** Ends the server, whatever its state, and removes its data. */
  async remove(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }

  get #cluster(): string {
    return join(this.#folder, 'cluster');
  }

  async #pids(): Promise<number[]> {
    const server = await runningServer(this.#cluster);
    if (!server) return [];
    const { stdout } = await run('ps', ['-A', '-o', 'pid=,ppid=']);
    const children = stdout
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number))
      .filter(([, parent]) => parent === server.pid)
      .flatMap(([pid]) => pid ?? []);
    return [server.pid, ...children];
  }
}

const PASSWORD = 'faults';

/** @returns whether the process existed */
function kill(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

import { on } from 'node:events';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { type Settlement, settlements } from '../../../src/counters/lane.ts';
import { freePort } from '../../../src/embedded-postgres/server.ts';
import { type Program, runProgram } from '../../shared/own-service.ts';
import type { Postgres } from './postgres.ts';
import { Proxy } from '../network/proxy.ts';

/** What the service itself found out about commits whose answers were lost. */
export type Settled = Record<Settlement, number>;

/** Of a process that has just begun. */
export const noneSettled = (): Settled => ({ applied: 0, 'not applied': 0, unknown: 0 });

/** Short, so that a fault outlasts them and the run does not take all day. In milliseconds. */
const TIMEOUTS = {
  STATEMENT_TIMEOUT_MS: '500',
  LOCK_TIMEOUT_MS: '1000',
  POOL_ACQUIRE_TIMEOUT_MS: '1000',
  IDLE_IN_TRANSACTION_TIMEOUT_MS: '1000',
};

/** So that the clock can be shifted. */
const NODE_OPTIONS = `--import=${pathToFileURL(join(import.meta.dirname, 'shifting-clock.ts')).href}`;

const START_MS_MAX = 180_000;
const END_MS_MAX = 15_000;

/** One process of the service, with a network of its own to the database. */
export class Replica {
  readonly proxy: Proxy;
  /** What `start` runs: the service, another version of it, or the service with a defect. */
  program: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #signal: AbortSignal;
  #running: Program | undefined;
  #port = 0;
  #settledBefore: Settled = noneSettled();
  #settledNow: Settled = noneSettled();

  /**
   * @param signal aborted when nothing is to be started or waited for any more
   */
  constructor(
    postgres: Pick<Postgres, 'port'>,
    program: string,
    env: NodeJS.ProcessEnv,
    signal: AbortSignal,
  ) {
    this.proxy = new Proxy(postgres.port);
    this.program = program;
    this.#env = env;
    this.#signal = signal;
  }

  get port(): number {
    return this.#port;
  }

  /** Starts it and waits until it is ready, again while the database is away. */
  async start(postgres: Pick<Postgres, 'databaseUrl'>): Promise<void> {
    if (this.proxy.port === 0) await this.proxy.listen();
    const deadline = AbortSignal.any([this.#signal, AbortSignal.timeout(START_MS_MAX)]);
    for (let said = 'nothing yet'; ; said = (await this.#lastWords()) ?? said) {
      if (deadline.aborted && !this.#signal.aborted)
        throw new Error(`a replica did not start; it said: ${said}`);
      deadline.throwIfAborted();
      // Another port each time: another process may have taken the one that it had.
      this.#port = await freePort();
      this.#running = runProgram([this.program], {
        PORT: String(this.#port),
        DATABASE_URL: postgres.databaseUrl(this.proxy.port),
        // What it refuses is in the journal.
        LOG_LEVEL: 'error',
        DEMOS: 'false',
        ...TIMEOUTS,
        NODE_OPTIONS,
        ...this.#env,
      });
      if (await this.#ready(this.#running, deadline)) return;
    }
  }

  /** The process is gone when this resolves. @returns its exit code */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const running = this.#running;
    if (!running) return null;
    running.child.kill(signal);
    // One that is stopped could not end.
    running.child.kill('SIGCONT');
    const timer = globalThis.setTimeout(() => running.child.kill('SIGKILL'), END_MS_MAX);
    const { code } = await running.ended;
    clearTimeout(timer);
    this.#running = undefined;
    for (const outcome of settlements) this.#settledBefore[outcome] += this.#settledNow[outcome];
    this.#settledNow = noneSettled();
    return code;
  }

  /** Stops the process where it is; `resume` lets it go on. */
  pause(): void {
    this.#running?.child.kill('SIGSTOP');
  }

  resume(): void {
    this.#running?.child.kill('SIGCONT');
  }

  /** Shifts the wall clock of the process: six hours ahead, six back, and right again, in turn. */
  async shiftClock(signal: AbortSignal): Promise<void> {
    const child = this.#running?.child;
    if (!child?.stdout) throw new Error('the replica is not running');
    const told = on(child.stdout, 'data', { signal });
    child.kill('SIGWINCH');
    for await (const [text] of told) if (String(text).includes('clock shifted')) return;
  }

  /** What it has found out since the beginning, as of the last scrape before it was killed. */
  async settled(): Promise<Settled> {
    const text = await this.#get('/metrics').catch(() => '');
    const seen = { ...this.#settledBefore };
    for (const outcome of settlements) {
      const count = new RegExp(`^safe_counters_lost_answers_total\\{outcome="${outcome}"\\} (\\d+)`, 'm');
      const now = Number(count.exec(text)?.[1] ?? this.#settledNow[outcome]);
      this.#settledNow[outcome] = now;
      seen[outcome] += now;
    }
    return seen;
  }

  /** What it said when it ended by itself, if anything; one that is still about to start is ended. */
  async #lastWords(): Promise<string | undefined> {
    this.#running?.child.kill('SIGKILL');
    const { stderr = '' } = (await this.#running?.ended) ?? {};
    return stderr.trim() || undefined;
  }

  /** @returns false when it has ended, or the time is over */
  async #ready({ child }: Program, deadline: AbortSignal): Promise<boolean> {
    while (child.exitCode === null && child.signalCode === null && !deadline.aborted) {
      if (await this.#get('/health/ready').catch(() => undefined)) return true;
      await setTimeout(20);
    }
    return false;
  }

  async #get(path: string): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.#port}${path}`, {
      signal: AbortSignal.timeout(5000),
      headers: { connection: 'close' },
    });
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return response.text();
  }
}

import { on } from 'node:events';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { type Settlement, settlements } from '../../../src/counters/lane.ts';
import { freePort } from '../../../src/embedded-postgres/server.ts';
import { type Program, runProgram } from '../../shared/own-service.ts';
import type { Postgres } from './postgres.ts';
import { Proxy } from '../network/proxy.ts';

/** The number of lost commits whose outcome the service has determined, by outcome. */
export type Settled = Record<Settlement, number>;

export const noSettlements = (): Settled => ({ applied: 0, 'not applied': 0, unknown: 0 });

/** The timeouts of the service, in milliseconds: short, so that faults outlast them and a run stays short. */
const TIMEOUTS = {
  STATEMENT_TIMEOUT_MS: '500',
  LOCK_TIMEOUT_MS: '1000',
  POOL_ACQUIRE_TIMEOUT_MS: '1000',
  IDLE_IN_TRANSACTION_TIMEOUT_MS: '1000',
};

/** Loads the module that can shift the clock. */
const NODE_OPTIONS = `--import=${pathToFileURL(join(import.meta.dirname, 'shifting-clock.ts')).href}`;

/** The most characters of its output that are shown if a replica ends by itself. */
const OUTPUT_MAX = 4000;

/** The time limits for a replica to start and to end, in milliseconds. */
const START_MS_MAX = 180_000;
const END_MS_MAX = 15_000;

/** One process of the service, with its own proxy to the database. */
export class Replica {
  readonly proxy: Proxy;
  /** The program that `start` runs: the service, another version of it, or the service with a defect. */
  program: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #signal: AbortSignal;
  #running: Program | undefined;
  #port = 0;
  #died: string | undefined;
  #settledBefore: Settled = noSettlements();
  #settledNow: Settled = noSettlements();

  /** @param signal aborted when the run ends */
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

  /** How the process ended and its error output, if no fault ended it; undefined: it has not. */
  get died(): string | undefined {
    return this.#died;
  }

  /** Starts the process and waits until it is ready; retries while the database is unavailable. */
  async start(postgres: Pick<Postgres, 'databaseUrl'>): Promise<void> {
    if (this.proxy.port === 0) await this.proxy.listen();
    const deadline = AbortSignal.any([this.#signal, AbortSignal.timeout(START_MS_MAX)]);
    for (let output = 'none'; ; output = (await this.#errorOutput()) ?? output) {
      if (deadline.aborted && !this.#signal.aborted)
        throw new Error(
          `a replica did not start within ${START_MS_MAX / 1000} s; its error output: ${output}`,
        );
      deadline.throwIfAborted();
      // A new port each time, because another process may have taken the previous one.
      this.#port = await freePort();
      this.#running = runProgram([this.program], {
        PORT: String(this.#port),
        DATABASE_URL: postgres.databaseUrl(this.proxy.port),
        // The journal contains the refusals.
        LOG_LEVEL: 'error',
        DEMOS: 'false',
        ...TIMEOUTS,
        NODE_OPTIONS,
        ...this.#env,
      });
      if (await this.#ready(this.#running, deadline)) return void this.#watch(this.#running);
    }
  }

  /** Sends the signal and waits until the process has ended. @returns its exit code */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const running = this.#running;
    if (!running) return null;
    this.#running = undefined;
    running.child.kill(signal);
    // A stopped process would not end.
    running.child.kill('SIGCONT');
    const timer = globalThis.setTimeout(() => running.child.kill('SIGKILL'), END_MS_MAX);
    const { code } = await running.ended;
    clearTimeout(timer);
    for (const outcome of settlements) this.#settledBefore[outcome] += this.#settledNow[outcome];
    this.#settledNow = noSettlements();
    return code;
  }

  /** Suspends the process until `resume`. */
  pause(): void {
    this.#running?.child.kill('SIGSTOP');
  }

  resume(): void {
    this.#running?.child.kill('SIGCONT');
  }

  /** Shifts the wall clock of the process: in turn six hours ahead, six hours back, and correct again. */
  async shiftClock(signal: AbortSignal): Promise<void> {
    const child = this.#running?.child;
    if (!child?.stdout) throw new Error('the replica is not running');
    const output = on(child.stdout, 'data', { signal });
    child.kill('SIGWINCH');
    for await (const [text] of output) if (String(text).includes('clock shifted')) return;
  }

  /** The counts of all processes of this replica so far; those of a killed one as of its last scrape. */
  async settled(): Promise<Settled> {
    const text = await this.#get('/metrics').catch(() => '');
    const counts = { ...this.#settledBefore };
    for (const outcome of settlements) {
      const count = new RegExp(`^safe_counters_lost_answers_total\\{outcome="${outcome}"\\} (\\d+)`, 'm');
      const now = Number(count.exec(text)?.[1] ?? this.#settledNow[outcome]);
      this.#settledNow[outcome] = now;
      counts[outcome] += now;
    }
    return counts;
  }

  async #watch(running: Program): Promise<void> {
    const { code, signal, stdout, stderr } = await running.ended;
    if (this.#running !== running) return;
    this.#died = `${signal ?? `exit code ${code}`}: ${`${stdout}${stderr}`.slice(-OUTPUT_MAX)}`;
  }

  /** Ends the process if it is still starting. @returns its error output, if any */
  async #errorOutput(): Promise<string | undefined> {
    this.#running?.child.kill('SIGKILL');
    const { stderr = '' } = (await this.#running?.ended) ?? {};
    return stderr.trim() || undefined;
  }

  /** @returns false if the process has ended, or at the time limit */
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

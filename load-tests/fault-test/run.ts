import { randomBytes } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { progress } from '../../src/command-line/progress.ts';
import { type Fault, MissedError, type World } from './faults/fault.ts';
import { type FaultFigures, Figures } from './figures.ts';
import type { History } from './journal/history.ts';
import { Journal } from './journal/journal.ts';
import { Callers } from './callers/callers.ts';
import { Postgres } from './world/postgres.ts';
import { pick, seeded } from './world/random.ts';
import { Replica } from './world/replica.ts';
import { reconcile, type Reconciliation } from './checks/reconciliation.ts';

export interface RunOptions {
  /** Increments to be acknowledged at least. */
  acknowledged: number;
  faults: readonly Fault[];
  replicas: number;
  /** Requests under way at the same time. */
  clients: number;
  seed: number;
  /** Where the journal is written. */
  journal: string;
  /** What to run instead of the service, and its environment. */
  program?: string;
  env?: NodeJS.ProcessEnv;
  signal: AbortSignal;
}

export interface RunResult extends Reconciliation {
  history: History;
  /** For each fault, and before them for the time without one. */
  figures: FaultFigures[];
  /** Faults that could not be made, by name, and why. */
  missed: string[];
  elapsedMs: number;
}

/** Without any acknowledgement for that long, the run is over, in milliseconds. */
const STALLED_MS_MAX = 60_000;

/** Once a fault is healed, every replica serves again within this time, in milliseconds. */
const BACK_MS_MAX = 45_000;

/** Tries to make a fault. */
const TRIES_MAX = 3;

/** Runs with a PostgreSQL of its own, of which nothing is left. */
export async function withPostgres<T>(work: (postgres: Postgres) => Promise<T>): Promise<T> {
  const postgres = await Postgres.create();
  try {
    return await work(postgres);
  } finally {
    await postgres.remove();
  }
}

/**
 * Starts the service on an empty database, breaks everything, and compares what was told with what was counted.
 *
 * @throws {Error} when a fault cannot be healed, or nothing is acknowledged for long
 */
export async function run(postgres: Postgres, options: RunOptions): Promise<RunResult> {
  const { signal, program = 'src/server.ts', env = {}, seed } = options;
  const random = seeded(seed);
  const replicas = Array.from(
    { length: options.replicas },
    () => new Replica(postgres, program, env, signal),
  );
  const attempts = options.acknowledged * 2 + 100_000;
  const journal = new Journal(options.journal, randomBytes(4).toString('hex'), attempts);
  const callers = new Callers(journal, replicas, random);
  try {
    await Promise.all(replicas.map((replica) => replica.start(postgres)));
    return await new FaultRun(options, { postgres, replicas, random, signal }, journal, callers).run();
  } finally {
    await callers.end();
    await Promise.all(replicas.map((replica) => replica.end('SIGKILL')));
    await Promise.all(replicas.map(({ proxy }) => proxy.close()));
    journal.close();
  }
}

class FaultRun {
  readonly #options: RunOptions;
  readonly #world: World;
  readonly #journal: Journal;
  readonly #callers: Callers;
  readonly #figures: Figures;
  readonly #missed: string[] = [];

  constructor(options: RunOptions, world: World, journal: Journal, callers: Callers) {
    this.#options = options;
    this.#world = world;
    this.#journal = journal;
    this.#callers = callers;
    this.#figures = new Figures(world.replicas, callers);
  }

  async run(): Promise<RunResult> {
    const startedAt = performance.now();
    const { acknowledged, faults, clients } = this.#options;
    const called = this.#callers.run(clients);
    for (const [i, fault] of faults.entries()) {
      await this.#until((acknowledged * (i + 1)) / (faults.length + 1), fault.name);
      await this.#fault(fault);
    }
    await this.#until(acknowledged, 'no more faults');
    this.#callers.stop();
    await called;
    await this.#figures.next();
    return {
      ...(await reconcile(this.#world.postgres, this.#journal, this.#callers, clients)),
      history: this.#journal,
      figures: this.#figures.all,
      missed: this.#missed,
      elapsedMs: performance.now() - startedAt,
    };
  }

  /** Waits until so many increments have been acknowledged. */
  async #until(acknowledged: number, title: string): Promise<void> {
    const callers = this.#callers;
    for (let [seen, at] = [callers.acknowledged, performance.now()]; callers.acknowledged < acknowledged; ) {
      this.#world.signal.throwIfAborted();
      if (this.#journal.full) throw new Error('too many requests were refused: the journal is full');
      if (callers.acknowledged > seen) [seen, at] = [callers.acknowledged, performance.now()];
      else if (performance.now() - at > STALLED_MS_MAX)
        throw new Error(`nothing acknowledged for ${STALLED_MS_MAX} ms`);
      progress(title, callers.acknowledged, this.#options.acknowledged);
      await setTimeout(10);
    }
  }

  async #fault(fault: Fault): Promise<void> {
    await this.#figures.next();
    this.#journal.beginFault(fault.name);
    const { random, replicas } = this.#world;
    for (let attempt = 1; ; attempt += 1) {
      progress(fault.name, this.#callers.acknowledged, this.#options.acknowledged);
      try {
        await fault.make(this.#world, pick(random, replicas));
        break;
      } catch (error) {
        this.#world.signal.throwIfAborted();
        if (!(error instanceof MissedError)) throw error;
        if (attempt < TRIES_MAX) continue;
        this.#missed.push(`${fault.name}: ${error.message}`);
        break;
      }
    }
    await Promise.all(replicas.map((replica) => this.#callers.probe(replica, BACK_MS_MAX)));
    await this.#read();
  }

  /** What the counters are now, as the service says it: never less than what it has acknowledged. */
  async #read(): Promise<void> {
    const { port } = pick(this.#world.random, this.#world.replicas);
    for (const name of ['hot', 'left', 'unkeyed']) {
      const startedAt = performance.now();
      try {
        const response = await fetch(`http://127.0.0.1:${port}/counters/${name}`, {
          signal: AbortSignal.timeout(10_000),
        });
        if (response.status !== 200) continue;
        const { value } = (await response.json()) as { value: number };
        this.#journal.read(name, { startedAt, endedAt: performance.now(), value });
      } catch {
        // While the database is away, or the replica: nothing was read.
      }
    }
  }
}

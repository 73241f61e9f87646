import { setTimeout } from 'node:timers/promises';
import { progress } from '../../src/command-line/progress.ts';
import { type Fault, makeAndHeal, reasonMissed, type World } from './faults/fault.ts';
import { type FaultFigures, Figures } from './figures.ts';
import type { History } from './journal/history.ts';
import { STOCK } from './journal/operation.ts';
import type { Callers } from './callers/callers.ts';
import type { Traffic } from './callers/traffic.ts';
import { withFleet } from './fleet.ts';
import { Postgres } from './world/postgres.ts';
import { pick, seeded } from './world/random.ts';
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
  /** What is sent all the time; otherwise everything at first, and something else with each fault. */
  traffic?: Traffic;
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
const BACK_MS_MAX = 90_000;

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
  const { acknowledged, faults, signal } = options;
  const random = seeded(options.seed);
  const attemptsMax = acknowledged * 2 + 100_000 + faults.length * 20_000;
  return withFleet({ ...options, database: postgres, random, attemptsMax }, async ({ callers, ...fleet }) => {
    await postgres.query('insert into counters (name, value, min, max) values ($1, 0, $2, $3)', [
      STOCK.name,
      STOCK.min,
      STOCK.max,
    ]);
    return new FaultRun(options, { ...fleet, postgres, random, signal }, callers).run();
  });
}

class FaultRun {
  readonly #options: RunOptions;
  readonly #world: World;
  readonly #callers: Callers;
  readonly #figures: Figures;
  readonly #missed: string[] = [];

  constructor(options: RunOptions, world: World, callers: Callers) {
    this.#options = options;
    this.#world = world;
    this.#callers = callers;
    this.#figures = new Figures(world.replicas, world.exchange);
  }

  async run(): Promise<RunResult> {
    const startedAt = performance.now();
    const { acknowledged, faults, clients, traffic } = this.#options;
    const { postgres, journal, exchange } = this.#world;
    this.#callers.change(traffic ?? 'mixed');
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
      ...(await reconcile(postgres, journal, exchange, clients)),
      history: journal,
      figures: this.#figures.all,
      missed: this.#missed,
      elapsedMs: performance.now() - startedAt,
    };
  }

  /** Waits until so many increments have been acknowledged. */
  async #until(acknowledged: number, title: string): Promise<void> {
    const { exchange, journal, signal } = this.#world;
    for (
      let [seen, at] = [exchange.acknowledged, performance.now()];
      exchange.acknowledged < acknowledged;
    ) {
      signal.throwIfAborted();
      if (journal.full) throw new Error('too many requests were refused: the journal is full');
      if (exchange.acknowledged > seen) [seen, at] = [exchange.acknowledged, performance.now()];
      else if (performance.now() - at > STALLED_MS_MAX)
        throw new Error(`nothing acknowledged for ${STALLED_MS_MAX} ms`);
      progress(title, exchange.acknowledged, this.#options.acknowledged);
      await setTimeout(10);
    }
  }

  async #fault(fault: Fault): Promise<void> {
    await this.#figures.next();
    const { random, replicas, journal, exchange } = this.#world;
    journal.beginFault(fault.name);
    this.#callers.change(this.#options.traffic);
    const missed = await reasonMissed(() => {
      progress(fault.name, exchange.acknowledged, this.#options.acknowledged);
      return makeAndHeal(fault, this.#world, pick(random, replicas));
    }, this.#world.signal);
    if (missed !== undefined) this.#missed.push(`${fault.name}: ${missed}`);
    await Promise.all(replicas.map((replica) => exchange.probe(replica, BACK_MS_MAX)));
  }
}

import { setTimeout } from 'node:timers/promises';
import { progress } from '../../src/command-line/progress.ts';
import { type Fault, injectAndHeal, reasonMissed, type World } from './faults/fault.ts';
import { type FaultFigures, Figures } from './figures.ts';
import type { History } from './journal/history.ts';
import type { Callers } from './callers/callers.ts';
import type { Traffic } from './callers/traffic.ts';
import { withFleet } from './fleet.ts';
import { Postgres } from './world/postgres.ts';
import { pick, seeded } from './world/random.ts';
import { reconcile, type Reconciliation } from './checks/reconciliation.ts';

export interface RunOptions {
  /** The number of increments to acknowledge. */
  acknowledged: number;
  faults: readonly Fault[];
  /** The number of service processes. */
  replicas: number;
  /** The number of concurrent callers. */
  clients: number;
  seed: number;
  /** The path of the journal. */
  journal: string;
  /** The traffic during the whole run; by default, each replica's traffic changes with each fault. */
  traffic?: Traffic;
  /** The program to run instead of the service, and its additional environment variables. */
  program?: string;
  env?: NodeJS.ProcessEnv;
  signal: AbortSignal;
}

/** A fault that could not be injected, and why. */
export interface MissedFault {
  fault: string;
  reason: string;
}

export interface RunResult extends Reconciliation {
  history: History;
  /** One entry for the time before the first fault, and one for each fault. */
  figures: FaultFigures[];
  /** The faults that could not be injected. */
  missed: MissedFault[];
  elapsedMs: number;
}

/** The longest time without an acknowledgement before the run ends with an error, in milliseconds. */
const STALLED_MS_MAX = 60_000;

/** The time limit for every replica to serve again after a fault, in milliseconds. */
const RECOVERY_MS_MAX = 90_000;

/** Runs `work` with a new PostgreSQL server, and removes the server and its data afterwards. */
export async function withPostgres<T>(work: (postgres: Postgres) => Promise<T>): Promise<T> {
  progress('starting PostgreSQL');
  const postgres = await Postgres.create();
  try {
    return await work(postgres);
  } finally {
    await postgres.remove();
  }
}

/**
 * Starts the service on an empty database, injects faults while callers increment counters, and compares the answers with
 * the database.
 *
 * @throws {Error} if the service or the database does not recover
 */
export async function run(postgres: Postgres, options: RunOptions): Promise<RunResult> {
  const { acknowledged, faults, signal } = options;
  const random = seeded(options.seed);
  const attemptsMax = acknowledged * 2 + 100_000 + faults.length * 20_000;
  return withFleet({ ...options, database: postgres, random, attemptsMax }, async (fleet) => {
    return new FaultRun(options, { ...fleet, postgres, random, signal }, fleet.callers).run();
  });
}

class FaultRun {
  readonly #options: RunOptions;
  readonly #world: World;
  readonly #callers: Callers;
  readonly #figures: Figures;
  readonly #missed: MissedFault[] = [];

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
    this.#callers.changeTraffic(traffic ?? 'mixed');
    const called = this.#callers.run(clients);
    for (const [i, fault] of faults.entries()) {
      await this.#until((acknowledged * (i + 1)) / (faults.length + 1), `next fault: ${fault.name}`);
      await this.#inject(fault);
    }
    await this.#until(acknowledged, 'no more faults to inject');
    this.#callers.stop();
    await called;
    await this.#figures.endEntry();
    return {
      ...(await reconcile(postgres, journal, exchange, clients)),
      history: journal,
      figures: this.#figures.all,
      missed: this.#missed,
      elapsedMs: performance.now() - startedAt,
    };
  }

  /** Waits until this number of increments is acknowledged. */
  async #until(acknowledged: number, title: string): Promise<void> {
    const { exchange, journal, signal } = this.#world;
    for (
      let [count, changedAt] = [exchange.acknowledged, performance.now()];
      exchange.acknowledged < acknowledged;
    ) {
      signal.throwIfAborted();
      if (journal.full) throw new Error('the journal is full: too many requests were refused');
      if (exchange.acknowledged > count) [count, changedAt] = [exchange.acknowledged, performance.now()];
      else if (performance.now() - changedAt > STALLED_MS_MAX)
        throw new Error(`no increment was acknowledged for ${STALLED_MS_MAX / 1000} s`);
      progress(title, exchange.acknowledged, this.#options.acknowledged);
      await setTimeout(10);
    }
  }

  async #inject(fault: Fault): Promise<void> {
    await this.#figures.endEntry();
    const { random, replicas, journal, exchange } = this.#world;
    journal.beginFault(fault.name);
    this.#callers.changeTraffic(this.#options.traffic);
    const reason = await reasonMissed(() => {
      progress(`injecting: ${fault.name}`, exchange.acknowledged, this.#options.acknowledged);
      return injectAndHeal(fault, this.#world, pick(random, replicas));
    }, this.#world.signal);
    if (reason !== undefined) this.#missed.push({ fault: fault.name, reason });
    await Promise.all(replicas.map((replica) => exchange.probe(replica, RECOVERY_MS_MAX)));
  }
}

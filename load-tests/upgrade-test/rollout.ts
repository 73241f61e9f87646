import { setTimeout } from 'node:timers/promises';
import { progress } from '../../src/command-line/progress.ts';
import { reconcile, type Reconciliation } from '../fault-test/checks/reconciliation.ts';
import { type Fleet, withFleet } from '../fault-test/fleet.ts';
import type { History } from '../fault-test/journal/history.ts';
import type { Postgres } from '../fault-test/world/postgres.ts';
import { seeded } from '../fault-test/world/random.ts';
import type { Replica } from '../fault-test/world/replica.ts';
import type { Version } from './version.ts';

export interface RolloutOptions {
  /** The version that runs first, and at last again. */
  from: Version;
  to: Version;
  /** Processes of the service. */
  replicas: number;
  /** Callers at the same time. */
  clients: number;
  /** Increments to be acknowledged between two replacements. */
  acknowledged: number;
  seed: number;
  /** Where the journal is written. */
  journal: string;
  signal: AbortSignal;
}

/** What an upgrade and its rollback came to. Steps are the `faults` of the history. */
export interface RolloutResult extends Reconciliation {
  history: History;
  /** For each step: the longest time without an acknowledgement, in milliseconds. */
  gapsMs: number[];
  /** The migrations that were applied while replicas of the old version were counting. */
  migrations: string[];
  /** Replicas that did not end with exit code 0. */
  badEnds: string[];
}

/** How long each caller waits after an acknowledgement, on average, in milliseconds. */
const THINK_MS = 20;

/** Requests of one step, at most, refused ones included. */
const REQUESTS_MAX = 200_000;

/** Without an acknowledgement for that long, the run is over, in milliseconds. */
const STALLED_MS_MAX = 60_000;

/** A replica that was started serves within this time, in milliseconds. */
const SERVES_MS_MAX = 90_000;

/**
 * Replaces one replica after another by the other version while callers count, and then each by the version before again.
 *
 * @throws {Error} when a replica does not start, or nothing is acknowledged for long
 */
export async function rollOut(postgres: Postgres, options: RolloutOptions): Promise<RolloutResult> {
  const { from, replicas, seed } = options;
  const attemptsMax = (2 * replicas + 1) * REQUESTS_MAX;
  const fleetOptions = { ...options, database: postgres, program: from.program, attemptsMax };
  return withFleet({ ...fleetOptions, random: seeded(seed) }, (fleet) =>
    new Rollout(postgres, options, fleet).run(),
  );
}

class Rollout {
  readonly #postgres: Postgres;
  readonly #options: RolloutOptions;
  readonly #fleet: Fleet;
  readonly #gapsMs: number[] = [];
  readonly #badEnds: string[] = [];

  constructor(postgres: Postgres, options: RolloutOptions, fleet: Fleet) {
    this.#postgres = postgres;
    this.#options = options;
    this.#fleet = fleet;
  }

  async run(): Promise<RolloutResult> {
    const { from, to, clients } = this.#options;
    const { callers, journal, exchange, replicas } = this.#fleet;
    callers.change('mixed');
    const called = callers.run(clients, THINK_MS);
    const before = await this.#migrations();
    await this.#count();
    for (const next of [to, from])
      for (const [i, replica] of replicas.entries())
        await this.#replace(replica, next, `replica ${i + 1} becomes ${next.name}`);
    callers.stop();
    await called;
    this.#gapsMs.push(exchange.takeLongestGapMs());
    return {
      ...(await reconcile(this.#postgres, journal, exchange, clients)),
      history: journal,
      gapsMs: this.#gapsMs,
      migrations: (await this.#migrations()).filter((name) => !before.includes(name)),
      badEnds: this.#badEnds,
    };
  }

  /** As an orchestrator does it: SIGTERM, and the next one begins when this one serves. */
  async #replace(replica: Replica, next: Version, step: string): Promise<void> {
    const { journal, exchange } = this.#fleet;
    this.#gapsMs.push(exchange.takeLongestGapMs());
    journal.beginFault(step);
    const code = await replica.end('SIGTERM');
    if (code !== 0) this.#badEnds.push(`${step}: the old process ended with exit code ${code}`);
    replica.program = next.program;
    await replica.start(this.#postgres);
    await exchange.probe(replica, SERVES_MS_MAX);
    await this.#count();
  }

  /** Waits until both versions, or one of them alone, have counted for a while. */
  async #count(): Promise<void> {
    const { journal, exchange } = this.#fleet;
    const { acknowledged, signal } = this.#options;
    const enough = exchange.acknowledged + acknowledged;
    for (let [seen, at] = [exchange.acknowledged, performance.now()]; exchange.acknowledged < enough; ) {
      signal.throwIfAborted();
      if (journal.full) throw new Error('too many requests were refused: the journal is full');
      if (exchange.acknowledged > seen) [seen, at] = [exchange.acknowledged, performance.now()];
      else if (performance.now() - at > STALLED_MS_MAX)
        throw new Error(`nothing acknowledged for ${STALLED_MS_MAX} ms`);
      progress(journal.faults.at(-1), exchange.acknowledged, enough);
      await setTimeout(10);
    }
  }

  async #migrations(): Promise<string[]> {
    const rows = await this.#postgres.query('select name from mikro_orm_migrations order by id');
    return rows.map(({ name }) => String(name));
  }
}

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
  /** The version at the beginning and, after the rollback, at the end. */
  from: Version;
  /** The version to upgrade to. */
  to: Version;
  /** The number of service processes. */
  replicas: number;
  /** The number of concurrent callers. */
  clients: number;
  /** The number of increments to acknowledge after each replacement. */
  acknowledged: number;
  seed: number;
  /** The path of the journal. */
  journal: string;
  signal: AbortSignal;
}

/** The results of an upgrade and its rollback. Each step is a `fault` of the history. */
export interface RolloutResult extends Reconciliation {
  history: History;
  /** For each step, the longest time without an acknowledgement, in milliseconds. */
  gapsMs: number[];
  /** The versions of the tables that were created while replicas of the old version were running. */
  migrations: number[];
  /** Messages about replicas that did not end with exit code 0. */
  failedShutdowns: string[];
}

/** Each caller's mean pause after an acknowledgement, in milliseconds. */
const THINK_MS = 20;

/** The most requests during one step, refused ones included. */
const REQUESTS_MAX = 200_000;

/** The longest time without an acknowledgement before the run ends with an error, in milliseconds. */
const STALLED_MS_MAX = 60_000;

/** The time limit for a new replica to serve, in milliseconds. */
const SERVES_MS_MAX = 90_000;

/**
 * Replaces one replica after another by the new version while callers increment counters, and then each by the old version
 * again.
 *
 * @throws {Error} if a replica does not start, or no increment is acknowledged for too long
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
  readonly #failedShutdowns: string[] = [];

  constructor(postgres: Postgres, options: RolloutOptions, fleet: Fleet) {
    this.#postgres = postgres;
    this.#options = options;
    this.#fleet = fleet;
  }

  async run(): Promise<RolloutResult> {
    const { from, to, clients } = this.#options;
    const { callers, journal, exchange, replicas } = this.#fleet;
    callers.changeTraffic('mixed');
    const called = callers.run(clients, THINK_MS);
    const before = await this.#migrations();
    await this.#acknowledge();
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
      migrations: (await this.#migrations()).filter((version) => !before.includes(version)),
      failedShutdowns: this.#failedShutdowns,
    };
  }

  /** As an orchestrator does: sends SIGTERM, starts the other version, and waits until it serves. */
  async #replace(replica: Replica, next: Version, step: string): Promise<void> {
    const { journal, exchange } = this.#fleet;
    this.#gapsMs.push(exchange.takeLongestGapMs());
    journal.beginFault(step);
    const code = await replica.end('SIGTERM');
    if (code !== 0) this.#failedShutdowns.push(`${step}: the old process ended with exit code ${code}`);
    replica.program = next.program;
    await replica.start(this.#postgres);
    await exchange.probe(replica, SERVES_MS_MAX);
    await this.#acknowledge();
  }

  /** Waits until more increments are acknowledged. */
  async #acknowledge(): Promise<void> {
    const { journal, exchange } = this.#fleet;
    const { acknowledged, signal } = this.#options;
    const enough = exchange.acknowledged + acknowledged;
    for (
      let [count, changedAt] = [exchange.acknowledged, performance.now()];
      exchange.acknowledged < enough;
    ) {
      signal.throwIfAborted();
      if (journal.full) throw new Error('the journal is full: too many requests were refused');
      if (exchange.acknowledged > count) [count, changedAt] = [exchange.acknowledged, performance.now()];
      else if (performance.now() - changedAt > STALLED_MS_MAX)
        throw new Error(`no increment was acknowledged for ${STALLED_MS_MAX / 1000} s`);
      progress(journal.faults.at(-1), exchange.acknowledged, enough);
      await setTimeout(10);
    }
  }

  async #migrations(): Promise<number[]> {
    const rows = await this.#postgres.query('select version from safe_counters.migrations order by version');
    return rows.map(({ version }) => Number(version));
  }
}

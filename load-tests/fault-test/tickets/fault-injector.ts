import type { Postgres } from '../world/postgres.ts';
import { pick, type Random } from '../world/random.ts';
import type { Replica } from '../world/replica.ts';

/** One in this many faults kills a replica. More would slow the test down: a restart takes as long as several rounds. */
const KILL_EVERY = 4;

/** Kills replicas, or cuts their database connections, and restarts killed ones. At most one is restarting at a time. */
export class FaultInjector {
  readonly #postgres: Postgres;
  readonly #replicas: readonly Replica[];
  readonly #random: Random;
  #restarting: Replica | undefined;
  #restarted: Promise<void> = Promise.resolve();
  /** The number of times that a replica was killed. */
  killed = 0;
  /** The number of times that all database connections of a replica were cut. */
  cut = 0;

  constructor(postgres: Postgres, replicas: readonly Replica[], random: Random) {
    this.#postgres = postgres;
    this.#replicas = replicas;
    this.#random = random;
  }

  /** Kills a replica or cuts its connections; never one that is restarting. */
  inject(): void {
    const others = this.#replicas.filter((replica) => replica !== this.#restarting);
    if (others.length === 0) return;
    const replica = pick(this.#random, others);
    if (!this.#restarting && (this.killed + this.cut) % KILL_EVERY === 0) this.#kill(replica);
    else this.#cutOff(replica);
  }

  /** Waits until all replicas serve. @throws {Error} if a replica did not restart */
  allServing(): Promise<void> {
    return this.#restarted;
  }

  #kill(replica: Replica): void {
    this.#restarting = replica;
    this.killed += 1;
    this.#restarted = this.#restart(replica);
    // `allServing` reports the error.
    this.#restarted.catch(() => {});
  }

  /** Cuts the existing connections; new ones are accepted. */
  #cutOff({ proxy }: Replica): void {
    proxy.refuse();
    proxy.heal();
    this.cut += 1;
  }

  async #restart(replica: Replica): Promise<void> {
    await replica.end('SIGKILL');
    await replica.start(this.#postgres);
    this.#restarting = undefined;
  }
}

import type { Postgres } from '../world/postgres.ts';
import { pick, type Random } from '../world/random.ts';
import type { Replica } from '../world/replica.ts';

/** Kills replicas, each at a moment that it is told, and starts them again meanwhile, so that all but one serve. */
export class Killer {
  readonly #postgres: Postgres;
  readonly #replicas: readonly Replica[];
  readonly #random: Random;
  #away: Replica | undefined;
  #back: Promise<void> = Promise.resolve();
  /** Replicas that were killed. */
  killed = 0;
  /** Times that all connections of a replica to the database were cut. */
  cut = 0;

  constructor(postgres: Postgres, replicas: readonly Replica[], random: Random) {
    this.#postgres = postgres;
    this.#replicas = replicas;
    this.#random = random;
  }

  /** Kills a replica; while the last one that was killed is still about to start, cuts another one off the database. */
  strike(): void {
    const others = this.#replicas.filter((replica) => replica !== this.#away);
    if (others.length === 0) return;
    const replica = pick(this.#random, others);
    if (this.#away) {
      replica.proxy.refuse();
      replica.proxy.heal();
      this.cut += 1;
      return;
    }
    this.#away = replica;
    this.killed += 1;
    this.#back = this.#restart(replica);
    // `allBack` says so.
    this.#back.catch(() => {});
  }

  /** @throws {Error} when one did not start again */
  allBack(): Promise<void> {
    return this.#back;
  }

  async #restart(replica: Replica): Promise<void> {
    await replica.end('SIGKILL');
    await replica.start(this.#postgres);
    this.#away = undefined;
  }
}

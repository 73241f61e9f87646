import type { Postgres } from '../world/postgres.ts';
import { pick, type Random } from '../world/random.ts';
import type { Replica } from '../world/replica.ts';

/** One strike of so many kills a replica: its start takes as long as several rounds, and much of the machine. */
const KILL_EVERY = 4;

/** Kills replicas or cuts them off the database, and starts those that it has killed, so that all but one serve. */
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

  /** Does one or the other, to a replica that is not about to start. */
  strike(): void {
    const others = this.#replicas.filter((replica) => replica !== this.#away);
    if (others.length === 0) return;
    const replica = pick(this.#random, others);
    if (!this.#away && (this.killed + this.cut) % KILL_EVERY === 0) this.#kill(replica);
    else this.#cutOff(replica);
  }

  /** @throws {Error} when one did not start again */
  allBack(): Promise<void> {
    return this.#back;
  }

  #kill(replica: Replica): void {
    this.#away = replica;
    this.killed += 1;
    this.#back = this.#restart(replica);
    // `allBack` says so.
    this.#back.catch(() => {});
  }

  /** All connections that it has; new ones pass. */
  #cutOff({ proxy }: Replica): void {
    proxy.refuse();
    proxy.heal();
    this.cut += 1;
  }

  async #restart(replica: Replica): Promise<void> {
    await replica.end('SIGKILL');
    await replica.start(this.#postgres);
    this.#away = undefined;
  }
}

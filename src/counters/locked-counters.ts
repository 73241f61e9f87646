import { Problem } from '../errors/problem.ts';
import type { IncrementRequest } from './batch.ts';
import type { CounterStore } from './store.ts';

/** How often a counter that somebody has locked is looked at again, in milliseconds. */
const LOOK_MS = 250;

/**
 * Counters whose row somebody else keeps locked. A batch that wants one waits for the lock timeout, with everybody in
 * it; so that happens once, and until the row is free again, whoever wants it is refused at once.
 */
export class LockedCounters {
  readonly #store: Pick<CounterStore, 'locked'>;
  readonly #names = new Set<string>();

  constructor(store: Pick<CounterStore, 'locked'>) {
    this.#store = store;
  }

  /** What to tell a request that wants one of them; undefined: it wants none. */
  refusal({ increments }: IncrementRequest): Problem | undefined {
    if (this.#names.size === 0) return undefined;
    const one = increments.find(({ name }) => this.#names.has(name));
    return one && new Problem('busy', `somebody keeps the counter ${JSON.stringify(one.name)} locked`);
  }

  /** Finds out which of these are locked at the moment, and remembers them. */
  async look(names: readonly string[]): Promise<void> {
    const locked = await this.#store.locked(names);
    const looking = this.#names.size > 0;
    for (const name of locked) this.#names.add(name);
    if (!looking) this.#lookLater();
  }

  #lookLater(): void {
    if (this.#names.size > 0) setTimeout(() => void this.#lookAgain(), LOOK_MS).unref();
  }

  async #lookAgain(): Promise<void> {
    const names = [...this.#names];
    // Away is not locked.
    const still = await this.#store.locked(names).catch(() => new Set<string>());
    for (const name of names) if (!still.has(name)) this.#names.delete(name);
    this.#lookLater();
  }
}

import { GroupCommit } from '../concurrency/group-commit.ts';
import type { CounterState } from './counter.ts';
import type { CounterStore } from './store.ts';

/**
 * Reads counters. Reads that wait together share a round trip, as increments do. A read joins only a statement that has not
 * been sent yet, so it sees every increment that was acknowledged before the read was requested.
 */
export class CounterReader {
  readonly #group: GroupCommit<string, CounterState | undefined>;

  constructor(store: Pick<CounterStore, 'states'>) {
    this.#group = new GroupCommit({
      write: async (names) => {
        const states = await store.states([...new Set(names)]);
        return names.map((name) => states.get(name));
      },
      batchMax: 1000,
      queueMax: 4096,
      waitMsMax: 5000,
    });
  }

  /**
   * @returns undefined: there is no such counter
   * @throws {QueueFullError} when too many reads are waiting
   * @throws the database's error
   */
  read(name: string): Promise<CounterState | undefined> {
    return this.#group.submit(name);
  }
}

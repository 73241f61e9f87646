import { setTimeout } from 'node:timers/promises';
import type { Journal } from '../journal/journal.ts';
import { UNKEYED } from '../journal/operation.ts';
import type { Exchange } from './exchange.ts';

/** The counters that are only incremented, so that their values must not decrease. */
const GROWING_COUNTERS = ['hot', 'left', UNKEYED];

/** The pause between two reads of a counter, and the timeout of a read, in milliseconds. */
const PAUSE_MS = 20;
const TIMEOUT_MS = 10_000;

/** Clients that read repeatedly, one client per counter, each time from a random replica. */
export class Readers {
  readonly #journal: Journal;
  readonly #exchange: Exchange;
  #running: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(journal: Journal, exchange: Exchange) {
    this.#journal = journal;
    this.#exchange = exchange;
  }

  run(): void {
    this.#running = Promise.all(GROWING_COUNTERS.map((name) => this.#readRepeatedly(name)));
  }

  /** Resolves when no read is in flight. */
  async end(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #readRepeatedly(name: string): Promise<void> {
    while (!this.#stopped) {
      const startedAt = performance.now();
      const value = await this.#exchange.read(name, TIMEOUT_MS);
      const endedAt = performance.now();
      // Undefined: the database or the replica is unavailable.
      if (value !== undefined) {
        this.#journal.read(name, { startedAt, endedAt, value: value === 'missing' ? 0 : value });
      }
      await setTimeout(PAUSE_MS);
    }
  }
}

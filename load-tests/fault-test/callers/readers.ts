import { setTimeout } from 'node:timers/promises';
import type { Journal } from '../journal/journal.ts';
import { UNKEYED } from '../journal/operation.ts';
import type { Exchange } from './exchange.ts';

/** The counters that only grow. */
const NAMES = ['hot', 'left', UNKEYED];

/** Between two reads of one counter, and how long one may take, in milliseconds. */
const PAUSE_MS = 20;
const PATIENCE_MS = 10_000;

/** Clients that read, one for each counter, through one replica after another. */
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
    this.#running = Promise.all(NAMES.map((name) => this.#one(name)));
  }

  /** Resolves when nothing is read any more. */
  async end(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #one(name: string): Promise<void> {
    while (!this.#stopped) {
      const startedAt = performance.now();
      const value = await this.#exchange.read(name, PATIENCE_MS);
      const endedAt = performance.now();
      // While the database is away, or the replica, nothing is read.
      if (value !== undefined) {
        this.#journal.read(name, { startedAt, endedAt, value: value === 'missing' ? 0 : value });
      }
      await setTimeout(PAUSE_MS);
    }
  }
}

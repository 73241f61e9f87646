import { failureOf } from './failure.ts';

/** How long a full disk is reported after the last error, in milliseconds. */
const REMEMBERED_MS = 60_000;

/**
 * Remembers that the server's disk was full. A query cannot find that out: a session that only reads does not notice it,
 * and not every role may read the size of the disk.
 */
export class DiskWatch {
  readonly #rememberedMs: number;
  #fullAt = Number.NEGATIVE_INFINITY;

  constructor(rememberedMs = REMEMBERED_MS) {
    this.#rememberedMs = rememberedMs;
  }

  /** To be called with each error of the server. */
  readonly note = (error: unknown): void => {
    if (failureOf(error) === 'full') this.#fullAt = performance.now();
  };

  /** Whether a write was recently refused because the disk was full. */
  get isFull(): boolean {
    return performance.now() - this.#fullAt < this.#rememberedMs;
  }
}

import { failureOf } from './failure.ts';

/** How long a full disk is told of after it was last met, in milliseconds. */
const REMEMBERED_MS = 60_000;

/**
 * Remembers that the server had no room on its disk. It cannot be asked: a session that only reads does not notice, and
 * the size of the disk is not for every role to know.
 */
export class DiskWatch {
  readonly #rememberedMs: number;
  #fullAt = Number.NEGATIVE_INFINITY;

  constructor(rememberedMs = REMEMBERED_MS) {
    this.#rememberedMs = rememberedMs;
  }

  /** Takes note of an error of the server, whichever. */
  readonly note = (error: unknown): void => {
    if (failureOf(error) === 'full') this.#fullAt = performance.now();
  };

  /** Whether a write was refused for it lately. */
  get isFull(): boolean {
    return performance.now() - this.#fullAt < this.#rememberedMs;
  }
}

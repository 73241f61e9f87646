import { setTimeout } from 'node:timers/promises';

/** How often it is looked whether the foreground still works, in milliseconds. */
const LOOK_MS = 1;

/** How long a piece of background work waits for the foreground at most, in milliseconds. */
const WAIT_MS_MAX = 25;

/**
 * Lets background work yield to the foreground, piece by piece: while the foreground works, each piece waits for it, up
 * to a bound, so that the background becomes slow and never stands still.
 */
export class Background {
  readonly #waitMsMax: number;
  #foregroundWorks: () => boolean = () => false;
  /** One for all that wait: pieces that contend with each other begin together. */
  #turn: Promise<void> | undefined;

  constructor(waitMsMax = WAIT_MS_MAX) {
    this.#waitMsMax = waitMsMax;
  }

  /** Says how to tell whether the foreground works. */
  yieldTo(foregroundWorks: () => boolean): void {
    this.#foregroundWorks = foregroundWorks;
  }

  /** To be awaited before each piece of background work. Resolves at once while the foreground is idle. */
  async turn(): Promise<void> {
    if (!this.#foregroundWorks()) return;
    this.#turn ??= this.#wait().finally(() => {
      this.#turn = undefined;
    });
    await this.#turn;
  }

  async #wait(): Promise<void> {
    const latest = performance.now() + this.#waitMsMax;
    do await setTimeout(LOOK_MS);
    while (this.#foregroundWorks() && performance.now() < latest);
  }
}

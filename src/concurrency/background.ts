import { setTimeout } from 'node:timers/promises';

/** The interval at which the foreground is polled, in milliseconds. */
const POLL_MS = 1;

/** The longest time that a unit of background work waits for the foreground, in milliseconds. */
const WAIT_MS_MAX = 25;

/**
 * Lets background work yield to the foreground: while the foreground is busy, each unit of background work waits for it,
 * up to a limit, so that the background slows down but never stops.
 */
export class Background {
  readonly #waitMsMax: number;
  #isForegroundBusy: () => boolean = () => false;
  /** Shared by all waiting units, so that units that contend with each other start together. */
  #turn: Promise<void> | undefined;

  constructor(waitMsMax = WAIT_MS_MAX) {
    this.#waitMsMax = waitMsMax;
  }

  /** Sets the function that tells whether the foreground is busy. */
  yieldTo(isForegroundBusy: () => boolean): void {
    this.#isForegroundBusy = isForegroundBusy;
  }

  /** To be awaited before each unit of background work. Resolves at once while the foreground is idle. */
  async turn(): Promise<void> {
    if (!this.#isForegroundBusy()) return;
    this.#turn ??= this.#wait().finally(() => {
      this.#turn = undefined;
    });
    await this.#turn;
  }

  async #wait(): Promise<void> {
    const latest = performance.now() + this.#waitMsMax;
    do await setTimeout(POLL_MS);
    while (this.#isForegroundBusy() && performance.now() < latest);
  }
}

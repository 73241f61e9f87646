const SECOND_MS = 1000;

/**
 * A rate limit as a token bucket that holds the units of one second: after a pause, all of them may be spent at once. A
 * request is admitted regardless of its size, even if it is larger than the bucket. Further requests then wait until the
 * bucket is no longer in debt, so that the rate holds over time.
 * Source: the virtual scheduling form of the generic cell rate algorithm, ITU-T I.371.
 */
export class Quota {
  readonly perSecond: number;
  readonly #unitMs: number;
  readonly #now: () => number;
  /** When the bucket is full again. */
  #fullAt = 0;

  /** @param now the clock, in milliseconds */
  constructor(perSecond: number, now = () => performance.now()) {
    this.perSecond = perSecond;
    this.#unitMs = SECOND_MS / perSecond;
    this.#now = now;
  }

  /** The time until the bucket has a unit, in whole milliseconds; 0: it has one. */
  get waitMs(): number {
    return Math.max(0, Math.floor(this.#fullAt + this.#unitMs - SECOND_MS - this.#now()));
  }

  spend(units: number): void {
    this.#fullAt = Math.max(this.#fullAt, this.#now()) + units * this.#unitMs;
  }
}

import { setImmediate, setTimeout } from 'node:timers/promises';

export interface RetryPolicy {
  /** Maximum number of attempts, including the first one. */
  attemptsMax: number;
  /** No attempt starts later than this after the first one, in milliseconds. */
  elapsedMsMax: number;
  /** The clock for `elapsedMsMax`, in milliseconds, to exclude some of the time; by default `performance.now`. */
  now?: () => number;
  /**
   * Upper bound of the first wait, in milliseconds; it doubles with each attempt. If an attempt took longer than this,
   * its duration is used instead: waits that are short compared with an attempt do not spread the callers.
   */
  delayMsBase: number;
  /** Upper bound of every wait, in milliseconds. */
  delayMsMax: number;
  /** Whether another attempt may succeed. Anything else is thrown at once. */
  retryable: (error: unknown) => boolean;
  /** Called after each failed attempt that will be followed by another. */
  onRetry?: (error: unknown, attempt: number) => void;
  signal?: AbortSignal;
}

/** All attempts, or the time for them, are used up. The last attempt's error is the `cause`. */
export class RetriesExhaustedError extends Error {
  override name = 'RetriesExhaustedError';
  /** What was used up. If it is the time, a faster machine could have made another attempt. */
  readonly usedUp: 'attempts' | 'time';

  constructor(usedUp: 'attempts' | 'time', message: string, options?: ErrorOptions) {
    super(message, options);
    this.usedUp = usedUp;
  }
}

/**
 * Runs `operation` until it succeeds, and waits between attempts with full jitter: a random time between zero and an
 * exponentially growing bound, so that callers that have collided do not collide again in step.
 * Source: Marc Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
 *
 * @throws {RetriesExhaustedError} when the attempts or the time are used up
 * @throws the error of `operation`, if it is not retryable; the signal's reason, if it was aborted
 */
export async function retry<T>(operation: (attempt: number) => Promise<T>, policy: RetryPolicy): Promise<T> {
  const { attemptsMax, elapsedMsMax, delayMsBase, delayMsMax, signal } = policy;
  const clock = policy.now ?? (() => performance.now());
  const startedAt = clock();
  for (let attempt = 1; ; attempt += 1) {
    signal?.throwIfAborted();
    const attemptAt = clock();
    try {
      return await operation(attempt);
    } catch (error) {
      if (!policy.retryable(error)) throw error;
      const now = clock();
      const elapsedMs = now - startedAt;
      const base = Math.max(delayMsBase, now - attemptAt);
      const delayMs = Math.random() * Math.min(delayMsMax, base * 2 ** (attempt - 1));
      if (attempt >= attemptsMax || elapsedMs + delayMs > elapsedMsMax) {
        const usedUp = attempt >= attemptsMax ? 'attempts' : 'time';
        const message = `not successful after ${attempt} attempts in ${Math.round(elapsedMs)} ms`;
        throw new RetriesExhaustedError(usedUp, message, { cause: error });
      }
      policy.onRetry?.(error, attempt);
      // A timer cannot wait for less than a millisecond, and rounding up would make the shortest waits equal.
      await (delayMs < 1 ? setImmediate() : setTimeout(delayMs, undefined, { signal }).catch(() => {}));
    }
  }
}

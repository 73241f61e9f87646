import { retry } from '../concurrency/retry.ts';
import { isReadOnly } from './failure.ts';

/** Long enough for a proxy in between to notice that the primary is another server now. */
const RETRY = { attemptsMax: 50, elapsedMsMax: 5000, delayMsBase: 10, delayMsMax: 250 };

/**
 * Runs `work`, which is one transaction, again for as long as its server turns out to be read-only: nothing was applied,
 * and the pool has dropped what led to that server, so that the next connection may lead to the one that takes writes.
 *
 * @param onRetry told of each attempt that will be followed by another
 * @throws {RetriesExhaustedError} when there was no such server in time; its cause is the last refusal
 * @throws whatever else `work` throws
 */
export const goingElsewhere = <T>(work: () => Promise<T>, onRetry?: (error: unknown) => void): Promise<T> =>
  retry(work, { ...RETRY, retryable: isReadOnly, ...(onRetry ? { onRetry } : {}) });

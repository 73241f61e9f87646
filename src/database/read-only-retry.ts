import { retry } from '../concurrency/retry.ts';
import { isReadOnly } from './failure.ts';

/** Long enough for a proxy in between to detect that another server is now the primary. */
const RETRY = { attemptsMax: 50, elapsedMsMax: 5000, delayMsBase: 10, delayMsMax: 250 };

/**
 * Runs `work`, which is one transaction, and repeats it while its server is read-only. Nothing was applied then, and the
 * pool has dropped its connections to that server, so the next connection may be to a server that accepts writes.
 *
 * @param onRetry called with the error of each attempt that will be followed by another
 * @throws {RetriesExhaustedError} when no server accepted writes in time; its cause is the last refusal
 * @throws any other error of `work`
 */
export const retryWhileReadOnly = <T>(
  work: () => Promise<T>,
  onRetry?: (error: unknown) => void,
): Promise<T> => retry(work, { ...RETRY, retryable: isReadOnly, ...(onRetry ? { onRetry } : {}) });

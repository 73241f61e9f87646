import { retry, RetriesExhaustedError } from '../concurrency/retry.ts';
import { codeOf, reasonOf } from '../errors/caught.ts';
import { StartupError } from '../errors/startup-error.ts';
import { parseAddress, serversOf } from './address.ts';
import { isReadOnly } from './failure.ts';
import type { DatabaseLog } from './pool.ts';

const DELAY = { delayMsBase: 100, delayMsMax: 1000 };

/** The server is starting up, or shutting down. */
const CANNOT_CONNECT_NOW = '57P03';

interface WaitOptions {
  databaseUrl: string;
  /** The maximum wait, in milliseconds. */
  waitMsMax: number;
  log: DatabaseLog;
}

/**
 * Runs `work`, which is the first to use the database, and repeats it while servers answer but none accepts writes. So the
 * service can start during a failover, or on a standby that is about to be promoted.
 *
 * @throws {StartupError} with one line that names the server and the reason, but never the password
 */
export async function whenWritable<T>(
  work: () => Promise<T>,
  { databaseUrl, waitMsMax, log }: WaitOptions,
): Promise<T> {
  try {
    return await retry(work, {
      ...DELAY,
      attemptsMax: Number.POSITIVE_INFINITY,
      elapsedMsMax: waitMsMax,
      retryable: (error) => isReadOnly(error) || codeOf(error) === CANNOT_CONNECT_NOW,
      onRetry: (error, attempt) => {
        if (attempt > 1) return;
        log.warn(`the database accepts no writes yet; waiting up to ${waitMsMax} ms: ${reasonOf(error)}`);
      },
    });
  } catch (error) {
    if (error instanceof StartupError) throw error;
    throw new StartupError(unusable(databaseUrl, waitMsMax, error as Error), { cause: error });
  }
}

function unusable(databaseUrl: string, waitMsMax: number, error: Error): string {
  const address = parseAddress(databaseUrl);
  const { pathname, username } = new URL(address.urls[0]);
  const waited = error instanceof RetriesExhaustedError;
  const last = waited ? (error.cause as Error) : error;
  // The cause of MikroORM's errors is the error of the driver.
  const reason = reasonOf(last.cause ?? last);
  const place = `${serversOf(address).join(',')}${pathname}`;
  return (
    `cannot use the database at ${place} as "${username}" (DATABASE_URL): ${reason}` +
    (waited ? `; waited ${waitMsMax} ms (FAILOVER_TIMEOUT_MS)` : '')
  );
}

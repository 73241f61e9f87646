import { ConnectionError } from './failure.ts';

/**
 * The result of `work`, if there is one in time; `work` goes on in any case.
 *
 * @throws {ConnectionError} `unavailable` when the database has not answered within `msMax` milliseconds
 */
export async function withinDeadline<T>(work: Promise<T>, msMax: number): Promise<T> {
  // It may fail after the deadline, when no caller waits for it any longer.
  work.catch(() => {});
  const late = Promise.withResolvers<never>();
  const error = new ConnectionError('unavailable', `the database did not answer within ${msMax} ms`);
  const timer = setTimeout(() => late.reject(error), msMax);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

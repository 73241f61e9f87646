import { messageOf } from '../errors/caught.ts';
import { ConnectionError } from './failure.ts';

export const isCommit = (sql: string): boolean => /^\s*commit\b/i.test(sql);

/** What cannot have changed anything, so that its loss leaves nothing unknown. */
const harmless = /^\s*(select|begin|start transaction|rollback|savepoint|release|set|show)\b/i;

/**
 * An answer of the server that leaves the session as it is, unlike its last words. Told by the code too, because
 * the severity comes in the server's language.
 */
export function isServerError(error: unknown): boolean {
  const { severity, code = '' } = error as { severity?: string; code?: string };
  return severity !== undefined && !/^(FATAL|PANIC)$/.test(severity) && !/^(08|57P0|25P0[34])/.test(code);
}

/**
 * Whether there was no answer within `query_timeout`, not even that of the server's own, shorter timeout. What has stopped
 * answering on one connection will not answer on others; the driver tells it by this text alone.
 */
export const isSilence = (error: unknown): boolean => messageOf(error) === 'Query read timeout';

const MESSAGE = 'the connection to the database was lost';

/** The error of a statement whose connection had broken before: whatever it is, it was not applied. */
export const neverSent = (cause: unknown): ConnectionError => new ConnectionError('lost', MESSAGE, cause);

/**
 * The error of a statement whose connection broke before the answer.
 *
 * @param transactionStatus that of the session when the statement was sent: `I` outside of a transaction
 */
export function connectionLost(
  cause: unknown,
  sql: string,
  transactionStatus: string | null,
): ConnectionError {
  const uncommitted = transactionStatus !== 'I' && !isCommit(sql);
  const failure = uncommitted || harmless.test(sql) ? 'lost' : 'unknown';
  return new ConnectionError(failure, MESSAGE, cause);
}

import { messageOf } from '../errors/caught.ts';
import { ConnectionError } from './failure.ts';

export const isCommit = (sql: string): boolean => /^\s*commit\b/i.test(sql);

/** Statements that cannot have changed anything, so that their outcome need not be known. */
const harmless = /^\s*(select|begin|start transaction|rollback|savepoint|release|set|show)\b/i;

/**
 * Whether an error is an ordinary answer of the server, after which the session continues. The code is checked as well,
 * because the severity is in the server's language.
 */
export function isServerError(error: unknown): boolean {
  const { severity, code = '' } = error as { severity?: string; code?: string };
  return severity !== undefined && !/^(FATAL|PANIC)$/.test(severity) && !/^(08|57P0|25P0[34])/.test(code);
}

/**
 * Whether there was no answer within `query_timeout`, not even the error of the server's own, shorter timeout. A server
 * that does not answer on one connection will not answer on others either. The driver marks this only by its message.
 */
export const isSilence = (error: unknown): boolean => messageOf(error) === 'Query read timeout';

const MESSAGE = 'the connection to the database was lost';

/** The error of a statement whose connection was already broken: it was never sent, so it was not applied. */
export const neverSent = (cause: unknown): ConnectionError => new ConnectionError('lost', MESSAGE, cause);

/**
 * The error of a statement whose connection broke before the answer.
 *
 * @param transactionStatus the status of the session when the statement was sent: `I` outside a transaction
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

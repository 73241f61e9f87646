import type { FastifyError } from 'fastify';
import { RetriesExhaustedError } from '../concurrency/retry.ts';
import { QueueFullError } from '../concurrency/semaphore.ts';
import { type Failure, failureOf } from '../database/failure.ts';
import { codeOf } from '../errors/caught.ts';
import { OUTCOME_UNKNOWN, PartlyDoneError, Problem, type ProblemCode } from '../errors/problem.ts';

/** foreign_key_violation: a row refers to a row that does not exist. */
const FOREIGN_KEY_VIOLATION = '23503';

/** The code and the detail of the answer to each kind of database failure. */
const byFailure: Record<Failure, readonly [ProblemCode, string]> = {
  conflict: [
    'conflict',
    'another transaction changed the same rows first; nothing was changed: send the request again',
  ],
  busy: ['busy', 'a lock, statement or connection timeout expired; nothing was changed: try again later'],
  full: [
    'disk_full',
    'the disk of the database is full; nothing was changed, and reads still work: try again when there is room',
  ],
  read_only: [
    'read_only',
    'the database accepts no writes at the moment (it is a standby, or read-only); nothing was changed: try again later',
  ],
  unavailable: ['database_unavailable', 'the database does not answer; nothing was changed: try again later'],
  lost: [
    'database_unavailable',
    'the connection to the database broke before the commit; nothing was changed: try again later',
  ],
  unknown: ['outcome_unknown', OUTCOME_UNKNOWN],
};

const byFastifyCode: Record<string, ProblemCode> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_REOPENED_CLOSE_SERVER: 'shutting_down',
};

const MEDIA_TYPE = 'the body must be JSON: send the header Content-Type: application/json';

/** Maps any error to the problem that is sent to the caller. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof PartlyDoneError) {
    const { code, message } = problemOf(error.cause);
    const detail =
      error.done > 0
        ? `${error.done} increments are acknowledged and counted; the next one failed: ${message.split(';')[0]}; sending the request again would count them again`
        : message;
    return new Problem(code, detail, { cause: error.cause, partlyDone: error.done > 0 });
  }
  if (error instanceof QueueFullError) return new Problem('queue_full', `${error.message}; try again later`);
  if (error instanceof RetriesExhaustedError) {
    const reason = failureOf(error.cause);
    // Not only conflicts are retried.
    if (reason === 'read_only' || reason === 'lost') return problemOf(error.cause);
    return new Problem('retries_exhausted', `${error.message}; try again later`);
  }
  if (error instanceof DOMException && error.name === 'TimeoutError') {
    return new Problem('out_of_time', 'the work was not complete within its time limit');
  }
  // MikroORM's error is recognized by its name, because the counters also run where the ORM is not installed.
  if ((error as Error | null)?.name === 'NotFoundError' || codeOf(error) === FOREIGN_KEY_VIOLATION) {
    return new Problem('not_found', 'the resource in the path does not exist');
  }
  const failure = failureOf(error);
  if (failure) return new Problem(...byFailure[failure], { cause: error });
  // Anything can be thrown, also undefined.
  const { code, statusCode = 500, validation, message = '' } = (error ?? {}) as Partial<FastifyError>;
  const known = byFastifyCode[code ?? ''];
  if (known === 'unsupported_media_type') return new Problem(known, MEDIA_TYPE);
  if (known) return new Problem(known, message);
  if (validation || (statusCode >= 400 && statusCode < 500)) return new Problem('invalid_request', message);
  return new Problem(
    'internal_error',
    'an unexpected error occurred; the log of the service has it under the id of this request',
    {
      cause: error,
    },
  );
}

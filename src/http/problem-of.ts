import { NotFoundError } from '@mikro-orm/core';
import type { FastifyError } from 'fastify';
import { RetriesExhaustedError } from '../concurrency/retry.ts';
import { QueueFullError } from '../concurrency/semaphore.ts';
import { type Failure, failureOf } from '../database/failure.ts';
import { codeOf } from '../errors/caught.ts';
import { PartlyDoneError, Problem, type ProblemCode, problems } from '../errors/problem.ts';

/** A row that refers to another one which is not there (any more). */
const FOREIGN_KEY_VIOLATION = '23503';

const byFailure: Record<Failure, ProblemCode> = {
  conflict: 'conflict',
  busy: 'busy',
  full: 'disk_full',
  read_only: 'read_only',
  unavailable: 'database_unavailable',
  lost: 'database_unavailable',
  unknown: 'outcome_unknown',
};

const byFastifyCode: Record<string, ProblemCode> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_REOPENED_CLOSE_SERVER: 'shutting_down',
};

const MEDIA_TYPE = 'bodies are read as JSON: send the header Content-Type: application/json';

/** Any error as the problem that its caller may be told of. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof PartlyDoneError) {
    const { code, message } = problemOf(error.cause);
    const detail = `${message}; ${error.done} increments were done before that, and count`;
    return new Problem(code, detail, { cause: error.cause, partlyDone: error.done > 0 });
  }
  if (error instanceof QueueFullError) return new Problem('queue_full', error.message);
  if (error instanceof RetriesExhaustedError) {
    const reason = failureOf(error.cause);
    // What was retried was not always a conflict.
    if (reason === 'read_only' || reason === 'lost') return problemOf(error.cause);
    return new Problem('retries_exhausted', error.message);
  }
  if (error instanceof DOMException && error.name === 'TimeoutError') {
    return new Problem('out_of_time', 'not all of it was done within the time allowed');
  }
  if (error instanceof NotFoundError || codeOf(error) === FOREIGN_KEY_VIOLATION) {
    return new Problem('not_found', 'what the address names does not exist');
  }
  const failure = failureOf(error);
  if (failure) {
    const code = byFailure[failure];
    return new Problem(code, problems[code].title, { cause: error });
  }
  const { code, statusCode = 500, validation, message = '' } = error as Partial<FastifyError>;
  const known = byFastifyCode[code ?? ''];
  if (known === 'unsupported_media_type') return new Problem(known, MEDIA_TYPE);
  if (known) return new Problem(known, message);
  if (validation || (statusCode >= 400 && statusCode < 500)) return new Problem('invalid_request', message);
  return new Problem('internal_error', 'The mistake was logged under the id of this request', {
    cause: error,
  });
}

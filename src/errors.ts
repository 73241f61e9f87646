import { randomUUID } from 'node:crypto';
import { maxHeaderSize, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { NotFoundError } from '@mikro-orm/core';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { codeOf, messageOf } from './caught.ts';
import { QueueFullError } from './concurrency/semaphore.ts';
import { RetriesExhaustedError } from './concurrency/retry.ts';
import { type Failure, failureOf } from './database/failure.ts';

interface ProblemKind {
  status: number;
  title: string;
  retryAfterS?: number;
}

/** Every problem that a caller can be told of: what it means, and whether trying again later makes sense. */
export const problems = {
  invalid_request: { status: 400, title: 'The request does not have the form that this route asks for' },
  unauthorized: { status: 401, title: 'Who changes something here must say that they may' },
  not_found: { status: 404, title: 'There is nothing at this address' },
  method_not_allowed: { status: 405, title: 'This address does not take this method' },
  request_too_slow: { status: 408, title: 'The request did not arrive in time' },
  precondition_failed: { status: 412, title: 'The counter is not as the request says it must be' },
  body_too_large: { status: 413, title: 'The body is larger than this service takes' },
  unsupported_media_type: { status: 415, title: 'The body has a type that this route does not read' },
  out_of_range: { status: 422, title: 'The value would be beyond what a counter can hold' },
  key_reused: { status: 422, title: 'The idempotency key was used for another request' },
  precondition_required: { status: 428, title: 'The request must say which state it is meant for' },
  too_many_requests: { status: 429, title: 'This address asks too often' },
  headers_too_large: { status: 431, title: 'The headers are larger than this service takes' },
  client_gone: { status: 499, title: 'The client went away before the answer' },
  conflict: { status: 409, title: 'Somebody else was faster, and nothing was changed' },
  busy: { status: 503, title: 'A lock, a statement or a connection was waited for too long', retryAfterS: 1 },
  queue_full: { status: 503, title: 'Too many requests are waiting for their turn', retryAfterS: 1 },
  retries_exhausted: {
    status: 503,
    title: 'Conflicts did not end within the attempts allowed',
    retryAfterS: 1,
  },
  out_of_time: { status: 503, title: 'The work was stopped before it was complete', retryAfterS: 1 },
  database_unavailable: { status: 503, title: 'The database cannot be reached', retryAfterS: 2 },
  shutting_down: { status: 503, title: 'The service is shutting down', retryAfterS: 5 },
  outcome_unknown: { status: 504, title: 'The connection broke before the outcome was known' },
  internal_error: { status: 500, title: 'The service made a mistake' },
} as const satisfies Record<string, ProblemKind>;

export type ProblemCode = keyof typeof problems;

/** What a route throws to answer with a problem. `detail` is for the caller: nothing that must stay inside. */
export class Problem extends Error {
  override name = 'Problem';
  readonly code: ProblemCode;
  /** Whether asking again would do a part of it twice. */
  readonly partlyDone: boolean;

  constructor(code: ProblemCode, detail: string, options?: ErrorOptions & { partlyDone?: boolean }) {
    super(detail, options);
    this.code = code;
    this.partlyDone = options?.partlyDone ?? false;
  }
}

/** Work that ended before its time, for the reason that is the cause; what was acknowledged by then counts. */
export class PartlyDoneError extends Error {
  override name = 'PartlyDoneError';
  /** Increments that were acknowledged. */
  readonly done: number;

  constructor(done: number, cause: unknown) {
    super(`${done} increments were done before: ${messageOf(cause)}`, { cause });
    this.done = done;
  }
}

/** A row that refers to another one which is not there (any more). */
const FOREIGN_KEY_VIOLATION = '23503';

const byFailure: Record<Failure, ProblemCode> = {
  conflict: 'conflict',
  busy: 'busy',
  unavailable: 'database_unavailable',
  lost: 'database_unavailable',
  unknown: 'outcome_unknown',
};

const byFastifyCode: Record<string, ProblemCode> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_REOPENED_CLOSE_SERVER: 'shutting_down',
};

/** Any error as the problem that its caller may be told of. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof PartlyDoneError) {
    const { code, message } = problemOf(error.cause);
    const detail = `${message}; ${error.done} increments were done before that, and count`;
    return new Problem(code, detail, { cause: error.cause, partlyDone: error.done > 0 });
  }
  if (error instanceof QueueFullError) return new Problem('queue_full', error.message);
  if (error instanceof RetriesExhaustedError) return new Problem('retries_exhausted', error.message);
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
  if (known) return new Problem(known, message);
  if (validation || (statusCode >= 400 && statusCode < 500)) return new Problem('invalid_request', message);
  return new Problem('internal_error', 'The mistake was logged under the id of this request', {
    cause: error,
  });
}

/** Answers every error as RFC 9457 (Problem Details for HTTP APIs) asks for. */
export function handleErrors(app: FastifyInstance): void {
  app.setErrorHandler((error, request, reply) => {
    const problem = problemOf(error);
    const { status } = problems[problem.code];
    if (status === 500) request.log.error({ err: error }, 'the request failed');
    else if (status > 500) request.log.warn({ err: error, code: problem.code }, 'the request was not served');
    return sendProblem(request, reply, problem);
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0] ?? '';
    const allowed = app.supportedMethods.filter((method) => app.hasRoute({ method, url: path }));
    if (allowed.length === 0) {
      return sendProblem(
        request,
        reply,
        new Problem('not_found', `there is no route ${request.method} ${path}`),
      );
    }
    reply.header('allow', allowed.join(', '));
    const detail = `${path} takes ${allowed.join(', ')}, not ${request.method}`;
    return sendProblem(request, reply, new Problem('method_not_allowed', detail));
  });
}

/** What Fastify itself refuses before there is a route: an address that cannot be decoded. */
export function handleFrameworkError(
  error: FastifyError,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  void sendProblem(request, reply, problemOf(error));
}

/** What Node refuses before there is a request: bytes that are not HTTP, headers that are too large or too slow. */
export function handleClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const detail = clientErrors[error.code ?? ''] ?? 'what was sent is not an HTTP/1.1 request';
  const code = clientErrorCodes[error.code ?? ''] ?? 'invalid_request';
  const body = problemBody(new Problem(code, detail), randomUUID());
  const { status } = problems[code];
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

const clientErrors: Record<string, string> = {
  HPE_HEADER_OVERFLOW: `the headers are larger than ${maxHeaderSize} bytes`,
  ERR_HTTP_REQUEST_TIMEOUT: 'the request did not arrive in time',
};

const clientErrorCodes: Record<string, ProblemCode> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_too_slow',
};

function sendProblem(request: FastifyRequest, reply: FastifyReply, problem: Problem): FastifyReply {
  const { status, retryAfterS }: ProblemKind = problems[problem.code];
  if (retryAfterS !== undefined && !problem.partlyDone) reply.header('retry-after', retryAfterS);
  return reply.status(status).type('application/problem+json').send(problemBody(problem, request.id));
}

function problemBody({ code, message }: Problem, requestId: string): string {
  const { status, title } = problems[code];
  const type = `/problems#${code}`;
  return JSON.stringify({ type, title, status, detail: message, instance: `urn:request:${requestId}`, code });
}

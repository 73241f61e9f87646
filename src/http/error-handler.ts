import { randomUUID } from 'node:crypto';
import { maxHeaderSize, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Problem, type ProblemCode, type ProblemKind, problems } from '../errors/problem.ts';
import { problemOf } from './problem-of.ts';
import { RefusalLog } from './refusal-log.ts';

/** A symbol, since the routes of counters also run in applications, which may have a decorator of any name. */
export const refusals = Symbol('safe-counters.refusals');

declare module 'fastify' {
  interface FastifyInstance {
    [refusals]: RefusalLog;
  }
}

/** The time that a client has to read the answer to invalid bytes before its connection is closed, in milliseconds. */
const READ_MS_MAX = 1000;

/**
 * Answers the errors of routes as RFC 9457 (Problem Details for HTTP APIs) specifies.
 *
 * @param isForeign whether an error is left to the enclosing application
 */
export function answerErrors(
  app: FastifyInstance,
  isForeign?: (error: FastifyError, reply: FastifyReply) => boolean,
): void {
  const log = new RefusalLog(app.log);
  app.decorate(refusals, log);
  app.setErrorHandler((error: FastifyError, request, reply) => {
    // Fastify passes it on to the handler of the enclosing scope.
    if (isForeign?.(error, reply)) throw error;
    const problem = problemOf(error);
    const { status } = problems[problem.code];
    if (status === 500) request.log.error({ err: error }, 'the request failed');
    else if (status > 500) log.add(problem.code, error);
    return sendProblem(request, reply, problem);
  });
}

/** Answers all errors in this way, including requests for paths without a route. */
export function handleErrors(app: FastifyInstance): void {
  answerErrors(app);
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0] ?? '';
    const allowed = app.supportedMethods.filter((method) => app.findRoute({ method, url: path }) !== null);
    if (allowed.length === 0) {
      return sendProblem(
        request,
        reply,
        new Problem(
          'route_not_found',
          `there is no route ${request.method} ${path}; /docs describes all routes`,
        ),
      );
    }
    reply.header('allow', allowed.join(', '));
    const detail = `${path} does not accept ${request.method}; allowed: ${allowed.join(', ')}`;
    return sendProblem(request, reply, new Problem('method_not_allowed', detail));
  });
}

/** Answers what Fastify refuses before it has found a route: a path that cannot be decoded. */
export function handleFrameworkError(
  error: FastifyError,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  void sendProblem(request, reply, problemOf(error));
}

/** Answers what Node refuses before there is a request: bytes that are not HTTP, headers that are too large or too slow. */
export function handleClientError(error: Error & { code?: string }, socket: Socket): void {
  // Browsers open connections in advance: if no byte was sent, no client waits for an answer.
  const silent = socket.bytesRead === 0;
  if (error.code === 'ECONNRESET' || silent || !socket.writable) return void socket.destroy();
  const detail = clientErrors[error.code ?? ''] ?? 'the data is not a valid HTTP/1.1 request';
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
  // Not at once: unread data would reset the connection, and the client might lose the answer.
  setTimeout(() => socket.destroy(), READ_MS_MAX).unref();
}

const clientErrors: Record<string, string> = {
  HPE_HEADER_OVERFLOW: `the headers are larger than ${maxHeaderSize} bytes`,
  ERR_HTTP_REQUEST_TIMEOUT: 'the request was not received completely in time: send it again',
};

const clientErrorCodes: Record<string, ProblemCode> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_too_slow',
};

/** The parts of a problem that are sent to the caller. */
type Reported = Pick<Problem, 'code' | 'message' | 'partlyDone'> &
  Partial<Pick<Problem, 'members' | 'retryAfterS'>>;

/** Answers with a problem without an exception: creating an error with its stack costs more than the rest of a refusal. */
export function sendProblem(request: FastifyRequest, reply: FastifyReply, problem: Reported): FastifyReply {
  const { status, ...kind }: ProblemKind = problems[problem.code];
  const retryAfterS = problem.retryAfterS ?? kind.retryAfterS;
  // The handler may have set a more precise value.
  if (retryAfterS !== undefined && !problem.partlyDone && !reply.hasHeader('retry-after'))
    reply.header('retry-after', retryAfterS);
  return reply.status(status).type('application/problem+json').send(problemBody(problem, request.id));
}

function problemBody({ code, message, members }: Reported, requestId: string): string {
  const { status, title } = problems[code];
  const type = `/problems#${code}`;
  const instance = `urn:request:${requestId}`;
  return JSON.stringify({ type, title, status, detail: message, instance, code, ...members });
}

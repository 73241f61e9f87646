import { messageOf } from './caught.ts';

export interface ProblemKind {
  status: number;
  title: string;
  retryAfterS?: number;
}

/** Every problem that a caller can be told of: what it means, and whether trying again later makes sense. */
export const problems = {
  invalid_request: { status: 400, title: 'The request does not have the form that this route asks for' },
  unauthorized: { status: 401, title: 'Who changes something here must say that they may' },
  forbidden_origin: { status: 403, title: 'Pages of other origins may not change anything here' },
  not_found: { status: 404, title: 'There is nothing at this address' },
  method_not_allowed: { status: 405, title: 'This address does not take this method' },
  request_too_slow: { status: 408, title: 'The request did not arrive in time' },
  precondition_failed: { status: 412, title: 'The counter is not as the request says it must be' },
  body_too_large: { status: 413, title: 'The body is larger than this service takes' },
  unsupported_media_type: { status: 415, title: 'The body has a type that this route does not read' },
  expectation_failed: { status: 417, title: 'The request expects what this service does not do' },
  forbidden_host: { status: 421, title: 'This service does not answer for the host that was asked for' },
  out_of_range: { status: 422, title: 'The value would be beyond what a counter can hold' },
  key_reused: { status: 422, title: 'The idempotency key was used for another request' },
  precondition_required: { status: 428, title: 'The request must say which state it is meant for' },
  too_many_requests: { status: 429, title: 'This address asks too often, or for too much at once' },
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
  disk_full: {
    status: 503,
    title: 'The disk of the database is full: nothing was written, and reading still works',
    retryAfterS: 10,
  },
  out_of_time: { status: 503, title: 'The work was stopped before it was complete', retryAfterS: 1 },
  read_only: {
    status: 503,
    title: 'The database is read-only at the moment, as a standby is',
    retryAfterS: 2,
  },
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

import { messageOf } from './caught.ts';

export interface ProblemKind {
  status: number;
  title: string;
  retryAfterS?: number;
}

/** Every problem that an answer can report; with `retryAfterS` (seconds) if another attempt can succeed. */
export const problems = {
  invalid_request: { status: 400, title: 'Invalid request' },
  unauthorized: { status: 401, title: 'Authentication required' },
  insufficient_scope: { status: 403, title: 'Insufficient scope' },
  forbidden_origin: { status: 403, title: 'Cross-origin request refused' },
  not_found: { status: 404, title: 'Not found' },
  route_not_found: { status: 404, title: 'Route not found' },
  method_not_allowed: { status: 405, title: 'Method not allowed' },
  request_too_slow: { status: 408, title: 'Request timeout' },
  precondition_failed: { status: 412, title: 'Precondition failed' },
  body_too_large: { status: 413, title: 'Request body too large' },
  unsupported_media_type: { status: 415, title: 'Unsupported media type' },
  expectation_failed: { status: 417, title: 'Expectation failed' },
  forbidden_host: { status: 421, title: 'Host not served' },
  out_of_range: { status: 422, title: 'Value out of range' },
  key_reused: { status: 422, title: 'Idempotency key reused for another request' },
  precondition_required: { status: 428, title: 'Precondition required' },
  too_many_requests: { status: 429, title: 'Too many requests', retryAfterS: 1 },
  headers_too_large: { status: 431, title: 'Request headers too large' },
  client_gone: { status: 499, title: 'Client closed the request' },
  conflict: { status: 409, title: 'Conflicting write' },
  out_of_bounds: { status: 409, title: 'Value out of bounds' },
  busy: { status: 503, title: 'Timed out waiting for a lock, statement or connection', retryAfterS: 1 },
  queue_full: { status: 503, title: 'Queue full', retryAfterS: 1 },
  retries_exhausted: {
    status: 503,
    title: 'Retries exhausted',
    retryAfterS: 1,
  },
  disk_full: {
    status: 503,
    title: 'Database disk full',
    retryAfterS: 10,
  },
  out_of_time: { status: 503, title: 'Time limit reached', retryAfterS: 1 },
  read_only: {
    status: 503,
    title: 'Database read-only',
    retryAfterS: 2,
  },
  database_unavailable: { status: 503, title: 'Database unavailable', retryAfterS: 2 },
  shutting_down: { status: 503, title: 'Service shutting down', retryAfterS: 5 },
  outcome_unknown: { status: 504, title: 'Outcome unknown' },
  internal_error: { status: 500, title: 'Internal error' },
} as const satisfies Record<string, ProblemKind>;

export type ProblemCode = keyof typeof problems;

interface ProblemOptions extends ErrorOptions {
  partlyDone?: boolean;
  members?: Readonly<Record<string, unknown>>;
  retryAfterS?: number;
}

/** What a caller can do about `outcome_unknown`. */
export const OUTCOME_UNKNOWN =
  'the connection to the database broke during the commit, which may or may not have been applied: with an Idempotency-Key, send the request again with the same key; without one, read the current value first';

/** Thrown by a route to answer with a problem. `detail` is sent to the caller, so it contains nothing internal. */
export class Problem extends Error {
  override name = 'Problem';
  readonly code: ProblemCode;
  /** Whether a part of the request was applied, so that sending it again would apply that part twice. */
  readonly partlyDone: boolean;
  /** Further fields of the answer, for programs (RFC 9457, 3.2: extension members). */
  readonly members: Readonly<Record<string, unknown>> | undefined;
  /** When another attempt can succeed, in seconds; undefined: not known, or a part of the request was applied. */
  readonly retryAfterS: number | undefined;

  constructor(code: ProblemCode, detail: string, options?: ProblemOptions) {
    super(detail, options);
    this.code = code;
    this.partlyDone = options?.partlyDone ?? false;
    this.members = options?.members;
    const kind: ProblemKind = problems[code];
    this.retryAfterS = this.partlyDone ? undefined : (options?.retryAfterS ?? kind.retryAfterS);
  }

  /** The status with which Fastify answers if an application's own route throws this. */
  get statusCode(): number {
    return problems[this.code].status;
  }

  /** The headers of that answer. */
  get headers(): Record<string, string> {
    return this.retryAfterS === undefined ? {} : { 'retry-after': String(this.retryAfterS) };
  }
}

/** Work that ended early, for the reason in `cause`; increments acknowledged by then count. */
export class PartlyDoneError extends Error {
  override name = 'PartlyDoneError';
  /** Increments that were acknowledged. */
  readonly done: number;

  constructor(done: number, cause: unknown) {
    super(`after ${done} acknowledged increments: ${messageOf(cause)}`, { cause });
    this.done = done;
  }
}

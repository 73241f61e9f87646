/** The answer of the service to a request that it refused (RFC 9457). */
export interface CounterProblem {
  code: string;
  title: string;
  detail: string;
  /** With `out_of_bounds`: the value of the counter, its bounds, and the amount that could have been added. */
  value?: number;
  min?: number;
  max?: number;
  fits?: number;
  /** The length of the window in which the increment did not fit. */
  window?: string;
}

/** The reason why a call failed. */
export class CounterError extends Error {
  override name = 'CounterError';
  /** The code of the service, such as `out_of_bounds`; `no_answer`; or `http_502` for an answer not from the service. */
  readonly code: string;
  /** The status of the last answer; undefined: there was none. */
  readonly status: number | undefined;
  /** Whether anything was changed; `unknown`: repeating the call with the same key finds out. */
  readonly counted: 'no' | 'unknown';
  /** When another attempt can succeed, in milliseconds from now, if the service says so: such as at the end of a window. */
  readonly retryAfterMs: number | undefined;
  readonly problem: CounterProblem | undefined;

  constructor(
    problem: CounterProblem | undefined,
    {
      status,
      counted,
      retryAfterMs,
      cause,
    }: {
      status: number | undefined;
      counted: 'no' | 'unknown';
      retryAfterMs?: number | undefined;
      cause?: unknown;
    },
  ) {
    const code = problem?.code ?? (status === undefined ? 'no_answer' : `http_${status}`);
    super(`${code}: ${problem?.detail ?? (reasonOf(cause) || 'no further details')}`, { cause });
    this.code = code;
    this.status = status;
    this.counted = counted;
    this.retryAfterMs = retryAfterMs;
    this.problem = problem;
  }
}

/** The message of the innermost cause: `fetch` reports only that it failed. */
function reasonOf(error: unknown, depth = 0): string {
  if (!(error instanceof Error) || depth > 9) return '';
  const [first] = error instanceof AggregateError ? error.errors : [];
  return reasonOf(error.cause ?? first, depth + 1) || error.message;
}

/** What a service says of a request that it refused (RFC 9457). */
export interface CounterProblem {
  code: string;
  title: string;
  detail: string;
  /** `out_of_bounds`: the value of the counter, its bounds, and what could have been added. */
  value?: number;
  min?: number;
  max?: number;
  fits?: number;
  /** The length of the window in which the increment did not fit. */
  window?: string;
}

/** Why a call had no success. */
export class CounterError extends Error {
  override name = 'CounterError';
  /** That of the service, as `out_of_bounds`; `no_answer`, or `http_502` for an answer that is not the service's. */
  readonly code: string;
  /** The status of the last answer; undefined: there was none. */
  readonly status: number | undefined;
  /** Whether something was changed; `unknown`: the same call with the same key finds out. */
  readonly counted: 'no' | 'unknown';
  /** After how many milliseconds another attempt can succeed, where the service says so: the end of a window. */
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
    super(`${code}: ${problem?.detail ?? 'the service did not say more'}`, { cause });
    this.code = code;
    this.status = status;
    this.counted = counted;
    this.retryAfterMs = retryAfterMs;
    this.problem = problem;
  }
}

/** A job for the load generator. */
export interface Load {
  url: string;
  /** The paths, requested in turn. */
  paths: string[];
  /** Whether each request has its own idempotency key. */
  keyed: boolean;
  /** The JSON body of each request; undefined: none. */
  body?: string | undefined;
  connections: number;
  /** How long to send requests, in milliseconds. Requests in flight at the end are waited for. */
  ms: number;
  /**
   * The arrival of requests. Undefined: each connection sends the next request after the answer (closed loop). Otherwise
   * this many per second at random times (Poisson), whether or not earlier requests are answered (open loop).
   */
  arrivals?: Arrivals;
}

export interface Arrivals {
  perSecond: number;
  /** Whether an arrival that finds every connection busy waits, or is dropped: not sent. */
  whenBusy: 'wait' | 'drop';
}

/** Percentiles of a sample of times, in milliseconds. */
export interface Percentiles {
  p50: number;
  p90: number;
  p99: number;
  p999: number;
  max: number;
}

/** The load generator's figures. */
export interface Seen {
  /** The number of answers by status. 0: the connection broke. */
  answers: Record<string, number>;
  /** Answers with status 200 per second, while requests were sent. */
  perSecond: number;
  /** Arrivals, and those of them that were not sent because every connection was busy. Open loop only. */
  arrived: number;
  dropped: number;
  /** Latency from the intended start to the answer, of served and of refused (503) requests. */
  served: Percentiles;
  refused: Percentiles;
  /** The generator's own delay: from the intended start of a request to the generator's check for arrivals. */
  lag: Percentiles;
  /** CPU time of the generator per request, in microseconds. */
  cpuUs: number;
}

export function percentiles(times: readonly number[]): Percentiles {
  const sorted = Float64Array.from(times).toSorted();
  const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
  return {
    p50: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
    p999: at(0.999),
    max: sorted.at(-1) ?? 0,
  };
}

/** What a generator is asked for. */
export interface Load {
  url: string;
  /** Requests go to these in turn. */
  paths: string[];
  /** Whether each request brings an idempotency key of its own. */
  keyed: boolean;
  /** JSON that each request brings; undefined: nothing. */
  body?: string | undefined;
  connections: number;
  /** For how long requests are sent, in milliseconds; what is in flight then is waited for. */
  ms: number;
  /**
   * How requests arrive. Undefined: each connection sends the next one when it has the answer (a closed loop). Else so
   * many a second at random moments (Poisson), whatever becomes of those before (an open loop).
   */
  arrivals?: Arrivals;
}

export interface Arrivals {
  perSecond: number;
  /** What becomes of an arrival that finds every connection busy. */
  whenBusy: 'wait' | 'give up';
}

/** Of a sample of times, in milliseconds. */
export interface Percentiles {
  p50: number;
  p90: number;
  p99: number;
  p999: number;
  max: number;
}

/** What a generator saw. */
export interface Seen {
  /** How many requests were answered with each status, all in all. 0: the connection broke. */
  answers: Record<string, number>;
  /** Answers with 200 a second, of those that came while requests were sent. */
  perSecond: number;
  /** Arrivals, and those of them that gave up since every connection was busy; only of an open loop. */
  arrived: number;
  gaveUp: number;
  /** From the moment when a request was meant to be sent to its answer: of those served, and of those refused (503). */
  served: Percentiles;
  refused: Percentiles;
  /** How late the generator itself was: from the moment when a request was meant to be sent until it looked. */
  lag: Percentiles;
  /** Processor time of the generator for each request, in microseconds. */
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

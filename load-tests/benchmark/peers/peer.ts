/** A way to count, as an application uses it in process. */
export interface Peer {
  name: string;
  /** Adds 1. @returns the new value, once it is durable */
  increment(counter: string): Promise<number>;
  /** The sum of the counters. */
  sum(counters: readonly string[]): Promise<number>;
}

/** The names in tables and ratios. */
export const names = {
  counters: 'counters',
  redis: 'Redis INCR',
  script: 'Redis script',
  upsert: 'INSERT … ON CONFLICT',
  limiter: 'rate-limiter-flexible',
} as const;

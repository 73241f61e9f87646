/** A way to count, as an application uses it in its own process. */
export interface Peer {
  name: string;
  /** Adds 1. @returns the new value, when it is durable */
  increment(counter: string): Promise<number>;
  /** What the counters come to together. */
  sum(counters: readonly string[]): Promise<number>;
}

/** What they are called in tables and ratios. */
export const names = {
  counters: 'counters',
  redis: 'Redis INCR',
  script: 'Redis script',
  upsert: 'INSERT … ON CONFLICT',
  limiter: 'rate-limiter-flexible',
} as const;

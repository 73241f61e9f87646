/** The load on one writer. */
export interface WriterLoad {
  /** The indexes of the counters to increment: `first`, `first + step`, …, below `end`. */
  indexes: { first: number; step: number; end: number };
  /** The share of increments with an idempotency key, 0 to 1. */
  keyedShare: number;
  /** The number of concurrent callers. */
  callers: number;
  /** How long they send increments, in milliseconds; those in flight at the end are waited for. */
  ms: number;
}

/** The number of counters of the largest load. */
export const COUNTERS_MAX = 10_000;

export const counterName = (index: number): string => `counter-${index}`;

/** The names of the counters to increment. */
export function counterNames({ first, step, end }: WriterLoad['indexes']): string[] {
  const names: string[] = [];
  for (let index = first; index < end; index += step) names.push(counterName(index));
  return names;
}

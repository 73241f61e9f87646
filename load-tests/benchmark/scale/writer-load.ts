/** What callers of one writer do. */
export interface WriterLoad {
  /** The counters that increments go to, by their index: from the first one on, by this step, less than the end. */
  indexes: { first: number; step: number; end: number };
  /** The share of increments that bring an idempotency key of their own, 0 to 1. */
  keyedShare: number;
  /** Callers at the same time. */
  callers: number;
  /** For how long they call, in milliseconds; what is under way then is waited for. */
  ms: number;
}

/** Counters of the benchmark: as many as the largest load has. */
export const COUNTERS_MAX = 10_000;

export const counterName = (index: number): string => `counter-${index}`;

/** The names of all counters that increments go to. */
export function counterNames({ first, step, end }: WriterLoad['indexes']): string[] {
  const names: string[] = [];
  for (let index = first; index < end; index += step) names.push(counterName(index));
  return names;
}

import type { Read } from '../../../src/concurrency/history.ts';
import type { Failover } from '../journal/history.ts';
import type { CounterAdd } from './adds.ts';

/**
 * Checks the reads of a counter that is only incremented by 1: a read returns at least every value that was acknowledged
 * or read before it began, and at most the number of increments that had been requested when it ended. This holds for
 * reads from the primary; a standby may lag.
 *
 * A failover may undo increments that were read but not acknowledged. During a failover, a read may therefore see increments
 * that are refused in the end, and values read before the end of a failover no longer count as the minimum.
 *
 * Both lists are processed in order of time, because there are too many entries to compare all pairs.
 */
export function checkReads(
  adds: readonly CounterAdd[],
  reads: readonly Read[],
  failovers: readonly Failover[] = [],
): string[] {
  const acknowledged = new Floor(
    adds.flatMap(({ endedAt, value }) => (value === undefined ? [] : { endedAt, value })),
  );
  const read = new Floor(reads);
  const upcoming = failovers.toSorted((a, b) => a.startedAt - b.startedAt).values();
  let failover = upcoming.next().value;
  const requested = startTimes(adds);
  const notRefused = startTimes(adds.filter(({ outcome }) => outcome !== 'refused'));
  return reads
    .toSorted((a, b) => a.startedAt - b.startedAt)
    .flatMap(({ startedAt, endedAt, value }) => {
      for (; failover && failover.startedAt <= startedAt; failover = upcoming.next().value)
        read.forget(failover.endedAt);
      const floor = Math.max(acknowledged.at(startedAt), read.at(startedAt));
      const duringFailover = failovers.some((one) => one.startedAt <= endedAt && startedAt <= one.endedAt);
      const ceiling = countUpTo(duringFailover ? requested : notRefused, endedAt);
      return value >= floor && value <= ceiling
        ? []
        : [`a read returned ${value}; expected ${floor} to ${ceiling}`];
    });
}

/** The highest value known before a point in time. Queries must be in order of time. */
class Floor {
  readonly #values: readonly Pick<Read, 'endedAt' | 'value'>[];
  #at = 0;
  #highest = 0;

  constructor(values: readonly Pick<Read, 'endedAt' | 'value'>[]) {
    this.#values = values.toSorted((a, b) => a.endedAt - b.endedAt);
  }

  at(time: number): number {
    for (let next = this.#values[this.#at]; next && next.endedAt < time; next = this.#values[this.#at]) {
      this.#highest = Math.max(this.#highest, next.value);
      this.#at += 1;
    }
    return this.#highest;
  }

  /** Discards the values that were known before this time. */
  forget(time: number): void {
    this.at(time);
    this.#highest = 0;
  }
}

const startTimes = (adds: readonly CounterAdd[]): number[] =>
  adds.map(({ startedAt }) => startedAt).toSorted((a, b) => a - b);

/** The number of entries of a sorted list that are not later than a point in time. */
function countUpTo(times: readonly number[], time: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((times[middle] ?? 0) <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}

import type { Read } from '../../../src/concurrency/history.ts';
import type { CounterAdd } from './adds.ts';

/**
 * What a read must have seen of a counter that only grows, by ones: every value that was acknowledged or read before
 * it began; and no more than was asked for when it ended. For one primary: a read of a replica may be behind. In the
 * order of time, since there are too many of both to compare each with each.
 */
export function checkReads(adds: readonly CounterAdd[], reads: readonly Read[]): string[] {
  const told = adds.flatMap(({ endedAt, value }) => (value === undefined ? [] : { endedAt, value }));
  const seen = [...told, ...reads].toSorted((a, b) => a.endedAt - b.endedAt);
  const begun = adds
    .filter(({ outcome }) => outcome !== 'refused')
    .map(({ startedAt }) => startedAt)
    .toSorted((a, b) => a - b);
  let at = 0;
  let floor = 0;
  return reads
    .toSorted((a, b) => a.startedAt - b.startedAt)
    .flatMap(({ startedAt, endedAt, value }) => {
      for (let next = seen[at]; next && next.endedAt < startedAt; next = seen[at]) {
        floor = Math.max(floor, next.value);
        at += 1;
      }
      const ceiling = countUpTo(begun, endedAt);
      return value >= floor && value <= ceiling
        ? []
        : [`read ${value}, but it had to lie between ${floor} and ${ceiling}`];
    });
}

/** How many of the times, which are in order, are not later than that one. */
function countUpTo(times: readonly number[], time: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((times[middle] ?? 0) <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}

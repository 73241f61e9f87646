import type { Read } from '../../../src/concurrency/history.ts';
import type { Failover } from '../journal/history.ts';
import type { CounterAdd } from './adds.ts';

/**
 * What a read must have seen of a counter that only grows, by ones: every value that was acknowledged or read before
 * it began; and no more than was asked for when it ended. For one primary: a read of a replica may be behind. A failover
 * may undo what was read and not acknowledged: meanwhile a read may see what is refused in the end, and since it began,
 * only what was read after it had ended counts. In the order of time, since there are too many of both to compare each
 * with each.
 */
export function checkReads(
  adds: readonly CounterAdd[],
  reads: readonly Read[],
  failovers: readonly Failover[] = [],
): string[] {
  const told = new Floor(
    adds.flatMap(({ endedAt, value }) => (value === undefined ? [] : { endedAt, value })),
  );
  const seen = new Floor(reads);
  const over = failovers.toSorted((a, b) => a.startedAt - b.startedAt).values();
  let failover = over.next().value;
  const visible = beginnings(adds);
  const lasting = beginnings(adds.filter(({ outcome }) => outcome !== 'refused'));
  return reads
    .toSorted((a, b) => a.startedAt - b.startedAt)
    .flatMap(({ startedAt, endedAt, value }) => {
      for (; failover && failover.startedAt <= startedAt; failover = over.next().value)
        seen.forget(failover.endedAt);
      const floor = Math.max(told.at(startedAt), seen.at(startedAt));
      const during = failovers.some((one) => one.startedAt <= endedAt && startedAt <= one.endedAt);
      const ceiling = countUpTo(during ? visible : lasting, endedAt);
      return value >= floor && value <= ceiling
        ? []
        : [`read ${value}, but it had to lie between ${floor} and ${ceiling}`];
    });
}

/** The highest value that was known before a time; to be asked in the order of time. */
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

  /** Nothing that was known by then counts any more. */
  forget(time: number): void {
    this.at(time);
    this.#highest = 0;
  }
}

const beginnings = (adds: readonly CounterAdd[]): number[] =>
  adds.map(({ startedAt }) => startedAt).toSorted((a, b) => a - b);

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

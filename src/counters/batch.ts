import type { PendingRequest } from './request.ts';
import { idOf, inOrder, type Row } from './row.ts';

/** What a batch adds to one row: the sum of its increments, and the lowest and the highest partial sum. */
export interface Delta {
  row: Row;
  total: bigint;
  low: bigint;
  high: bigint;
  /** The position of the delta in the batch. */
  at: number;
}

/** One increment of a batch, and the sum of its delta up to and including the increment. */
interface Step {
  delta: Delta;
  sum: bigint;
}

/** Plain requests that are written together, in this order, all or nothing, with what they add to each row. */
export interface Batch {
  requests: readonly PendingRequest[];
  /** In the order of their locks. */
  deltas: readonly Delta[];
  /** One for each increment of each request. */
  steps: readonly (readonly Step[])[];
}

/**
 * Whether a request can be part of a batch: it adds to its rows whatever their values are, within the bounds of the rows.
 * Its key, if it has one, needs a single value as the answer.
 */
export function isPlain({ sent, increments, key }: PendingRequest): boolean {
  if ('change' in sent || sent.partial || (key !== undefined && increments.length > 1)) return false;
  return increments.every(({ min, max }) => min === undefined && max === undefined);
}

/** Adds up the increments of requests. The sums are BigInts: that of a thousand amounts can be too large for a double. */
export function compose(requests: readonly PendingRequest[]): Batch {
  const byId = new Map<string, Delta>();
  const steps = requests.map(({ increments }) =>
    increments.map(({ row, by }): Step => {
      const amount = BigInt(by);
      const id = idOf(row);
      let delta = byId.get(id);
      if (delta) add(delta, amount);
      else byId.set(id, (delta = { row, total: amount, low: amount, high: amount, at: 0 }));
      return { delta, sum: delta.total };
    }),
  );
  const deltas = [...byId.values()];
  if (deltas.length > 1) deltas.sort((a, b) => inOrder(a.row, b.row));
  for (const [at, delta] of deltas.entries()) delta.at = at;
  return { requests, deltas, steps };
}

function add(delta: Delta, amount: bigint): void {
  delta.total += amount;
  if (delta.total < delta.low) delta.low = delta.total;
  else if (delta.total > delta.high) delta.high = delta.total;
}

/**
 * Whether a partial sum is outside the span from 0 to the total. Otherwise the partial sums are within the bounds if the
 * values before and after the batch are.
 */
export const overshoots = ({ total, low, high }: Delta): boolean =>
  low < (total < 0n ? total : 0n) || high > (total > 0n ? total : 0n);

/**
 * @param after for each delta, the value of its row after the batch
 * @returns for each request, the value after each of its increments
 */
export function valuesOf({ deltas, steps }: Batch, after: readonly number[]): number[][] {
  if (after.length !== deltas.length) throw new RangeError(`${after.length} values of ${deltas.length} rows`);
  const before = deltas.map(({ total }, at) => BigInt(after[at] as number) - total);
  return steps.map((own) => own.map(({ delta, sum }) => Number((before[delta.at] as bigint) + sum)));
}

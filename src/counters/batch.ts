import type { Increment, IncrementRequest } from './request.ts';

/** An increment of one row: that of the counter itself, or that of the bucket of a window. */
export interface PendingIncrement extends Omit<Increment, 'window'> {
  /** The expiry of the row if this increment creates it, in milliseconds since 1970. */
  expiresAt?: number | undefined;
}

/** A request that has not been answered yet, with the fingerprint of its body if it has a key. */
export interface PendingRequest extends Omit<IncrementRequest, 'increments'> {
  increments: readonly PendingIncrement[];
  fingerprint?: string | undefined;
}

/** How many increments of a bulk cost as much as one single request. Measured: see docs/benchmark.md. */
const BULK_DISCOUNT = 5;

/** The weight of a request towards the limits on batches and queues. */
export const weightOf = ({ increments }: Pick<PendingRequest, 'increments'>): number =>
  Math.ceil(increments.length / BULK_DISCOUNT);

/** What a batch adds to one counter: the sum of its increments, and the lowest and the highest partial sum. */
export interface Delta {
  name: string;
  total: bigint;
  low: bigint;
  high: bigint;
  /** The lowest and the highest value before the batch with which its increments keep their own bounds; undefined: any. */
  least?: bigint;
  most?: bigint;
  /** The expiry of the row if the batch creates it, in milliseconds since 1970; undefined: never. */
  expiresAt?: number | undefined;
}

/** One increment of a batch: the index of its delta, and the sum of that delta up to and including the increment. */
interface Step {
  at: number;
  sum: bigint;
}

/** Requests that are written together, in this order, all or nothing, with what they add to each counter. */
export interface Batch {
  requests: readonly PendingRequest[];
  deltas: readonly Delta[];
  /** One for each increment of each request. */
  steps: readonly (readonly Step[])[];
}

/** Adds up the increments of requests. The sums are BigInts: that of a thousand amounts can be too large for a double. */
export function compose(requests: readonly PendingRequest[]): Batch {
  const deltas: Delta[] = [];
  const indexes = new Map<string, number>();
  const steps = requests.map(({ increments }) =>
    increments.map((increment): Step => {
      const { name, by, expiresAt } = increment;
      const amount = BigInt(by);
      let at = indexes.get(name);
      if (at === undefined) {
        at = deltas.length;
        indexes.set(name, at);
        deltas.push({ name, total: amount, low: amount, high: amount, expiresAt });
      } else add(deltas[at] as Delta, amount);
      const delta = deltas[at] as Delta;
      applyBounds(delta, increment);
      return { at, sum: delta.total };
    }),
  );
  return { requests, deltas, steps };
}

function add(delta: Delta, amount: bigint): void {
  delta.total += amount;
  if (delta.total < delta.low) delta.low = delta.total;
  else if (delta.total > delta.high) delta.high = delta.total;
}

/** Applies the bounds of the increment that was added to the delta last. */
function applyBounds(delta: Delta, { min, max }: PendingIncrement): void {
  if (min !== undefined) {
    const least = BigInt(min) - delta.total;
    if (delta.least === undefined || least > delta.least) delta.least = least;
  }
  if (max !== undefined) {
    const most = BigInt(max) - delta.total;
    if (delta.most === undefined || most < delta.most) delta.most = most;
  }
}

/**
 * @param after for each delta, the value of its counter after the batch
 * @returns for each request, the value after each of its increments
 */
export function valuesOf({ deltas, steps }: Batch, after: readonly bigint[]): number[][] {
  const before = deltas.map(({ total }, at) => (after[at] ?? 0n) - total);
  return steps.map((stepsOfRequest) => stepsOfRequest.map(({ at, sum }) => Number((before[at] ?? 0n) + sum)));
}

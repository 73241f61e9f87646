import type { Increment, IncrementRequest } from './request.ts';

/** An increment of a row: the counter's, or that of the bucket of its window. */
export interface PendingIncrement extends Omit<Increment, 'window'> {
  /** When the row expires if this increment creates it, in milliseconds since 1970. */
  expiresAt?: number | undefined;
}

/** A request on its way, with the fingerprint of its body where it has a key. */
export interface PendingRequest extends Omit<IncrementRequest, 'increments'> {
  increments: readonly PendingIncrement[];
  fingerprint?: string | undefined;
}

/** Increments of a bulk that cost as much as a request of their own. Measured: see docs/benchmark.md. */
const BULK_DISCOUNT = 5;

/** What a request counts as in bounds on batches and queues. */
export const weightOf = ({ increments }: Pick<PendingRequest, 'increments'>): number =>
  Math.ceil(increments.length / BULK_DISCOUNT);

/** What a batch does to one counter: the sum of it, and the lowest and highest sum on the way there. */
export interface Delta {
  name: string;
  total: bigint;
  low: bigint;
  high: bigint;
  /** The lowest and the highest value before the batch with which the increments' own bounds hold; undefined: any. */
  least?: bigint;
  most?: bigint;
  /** When the row expires if the batch creates it, in milliseconds since 1970; undefined: never. */
  expiresAt?: number | undefined;
}

/** One increment of a batch: which delta it belongs to, and the sum of that delta up to and including it. */
interface Step {
  at: number;
  sum: bigint;
}

/** Requests that are written together, in this order, all or nothing, and what they add up to. */
export interface Batch {
  requests: readonly PendingRequest[];
  deltas: readonly Delta[];
  /** For each request, for each of its increments. */
  steps: readonly (readonly Step[])[];
}

/** Adds up what is to be written together. Sums are BigInts: a thousand amounts can exceed what a double holds. */
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
      bind(delta, increment);
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

/** Adds the bounds of the increment that the delta ends with. */
function bind(delta: Delta, { min, max }: PendingIncrement): void {
  if (min !== undefined) {
    const least = BigInt(min) - delta.total;
    if (delta.least === undefined || least > delta.least) delta.least = least;
  }
  if (max !== undefined) {
    const most = BigInt(max) - delta.total;
    if (delta.most === undefined || most < delta.most) delta.most = most;
  }
}

/** For each request, the values that its increments wrote, given those of the deltas' counters after the batch. */
export function valuesOf({ deltas, steps }: Batch, after: readonly bigint[]): number[][] {
  const before = deltas.map(({ total }, at) => (after[at] ?? 0n) - total);
  return steps.map((ofRequest) => ofRequest.map(({ at, sum }) => Number((before[at] ?? 0n) + sum)));
}

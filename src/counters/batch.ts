import type { IncrementRequest } from './request.ts';

/** A request on its way, with the fingerprint of its body where it has a key. */
export interface PendingRequest extends IncrementRequest {
  fingerprint?: string | undefined;
}

/** Increments of a bulk that cost as much as a request of their own. Measured: see docs/benchmark.md. */
const BULK_DISCOUNT = 5;

/** What a request counts as in bounds on batches and queues. */
export const weightOf = ({ increments }: IncrementRequest): number =>
  Math.ceil(increments.length / BULK_DISCOUNT);

/** What a batch does to one counter: the sum of it, and the lowest and highest sum on the way there. */
export interface Delta {
  name: string;
  total: bigint;
  low: bigint;
  high: bigint;
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
    increments.map(({ name, by }): Step => {
      const at = indexes.get(name);
      const amount = BigInt(by);
      if (at !== undefined) return { at, sum: add(deltas[at] as Delta, amount) };
      indexes.set(name, deltas.length);
      deltas.push({ name, total: amount, low: amount, high: amount });
      return { at: deltas.length - 1, sum: amount };
    }),
  );
  return { requests, deltas, steps };
}

function add(delta: Delta, amount: bigint): bigint {
  delta.total += amount;
  if (delta.total < delta.low) delta.low = delta.total;
  else if (delta.total > delta.high) delta.high = delta.total;
  return delta.total;
}

/** For each request, the values that its increments wrote, given those of the deltas' counters after the batch. */
export function valuesOf({ deltas, steps }: Batch, after: readonly bigint[]): number[][] {
  const before = deltas.map(({ total }, at) => (after[at] ?? 0n) - total);
  return steps.map((ofRequest) => ofRequest.map(({ at, sum }) => Number((before[at] ?? 0n) + sum)));
}

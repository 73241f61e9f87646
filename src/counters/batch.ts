export interface Increment {
  name: string;
  by: number;
}

/** What one caller asks for: applied as a whole or not at all. */
export interface IncrementRequest {
  increments: readonly Increment[];
  /** The caller's own name for this request, under which it counts once. */
  key?: string | undefined;
  /** Whether nobody waits for the answer any more. */
  abandoned?: () => boolean;
}

/** What a batch does to one counter: the sum of it, and the lowest and highest sum on the way there. */
export interface Delta {
  name: string;
  total: number;
  low: number;
  high: number;
}

/** Requests that are written together, in this order, and what they add up to. */
export interface Batch {
  requests: readonly IncrementRequest[];
  deltas: readonly Delta[];
  /** For each request, for each of its increments: how far behind its counter's value after the batch it is. */
  behind: readonly (readonly number[])[];
}

/**
 * Adds up what is to be written together. Sums are exact as long as all amounts together are at most
 * `Number.MAX_SAFE_INTEGER`; that is for the caller to see to.
 */
export function compose(requests: readonly IncrementRequest[]): Batch {
  const deltas = new Map<string, Delta>();
  const sums = requests.map(({ increments }) => increments.map((increment) => add(deltas, increment)));
  const behind = requests.map(({ increments }, r) =>
    increments.map(({ name }, i) => (sums[r]?.[i] ?? 0) - (deltas.get(name)?.total ?? 0)),
  );
  return { requests, deltas: [...deltas.values()], behind };
}

/** @returns the sum of everything added to this counter by now */
function add(deltas: Map<string, Delta>, { name, by }: Increment): number {
  const delta = deltas.get(name);
  if (!delta) {
    deltas.set(name, { name, total: by, low: by, high: by });
    return by;
  }
  delta.total += by;
  if (delta.total < delta.low) delta.low = delta.total;
  if (delta.total > delta.high) delta.high = delta.total;
  return delta.total;
}

/** For each request, the values that its increments wrote, given those of the counters after the batch. */
export function valuesOf({ requests, behind }: Batch, after: ReadonlyMap<string, number>): number[][] {
  return requests.map(({ increments }, r) =>
    increments.map(({ name }, i) => (after.get(name) ?? Number.NaN) + (behind[r]?.[i] ?? Number.NaN)),
  );
}

/** All amounts of a request, without their signs. */
export const weightOf = ({ increments }: IncrementRequest): number =>
  increments.reduce((sum, { by }) => sum + Math.abs(by), 0);

import { VALUE_MAX } from '../../src/counters/counter.ts';
import type { ChangeRequest } from '../../src/counters/change.ts';
import type { CounterRequest, Increment, IncrementRequest } from '../../src/counters/request.ts';

export interface ModelRow {
  value: number;
  min: number | null;
  max: number | null;
  /** In milliseconds since 1970. */
  expiresAt: number | null;
}

/** The answer to a request, or the code of its refusal with what programs can evaluate. */
export type ModelOutcome = Record<string, unknown>;

/** Equal lengths of windows that the model knows: any others are different. */
const EQUAL: Record<string, string> = { '60s': '1m', '60m': '1h' };

/** The place of a row: the name of a counter, with the length of a window. The model has no time. */
export const placeOf = ({ name, window }: Pick<Increment, 'name' | 'window'>): string =>
  window === undefined ? name : `${name} by ${EQUAL[window] ?? window}`;

export const isWindow = (place: string): boolean => / by \d+[smhd]$/.test(place);

/** Models the outcomes of requests that are applied one after another. */
export class BoundsModel {
  /** The rows that exist, by their places. */
  readonly rows = new Map<string, ModelRow>();
  /** The places of the rows that a request has changed, or has set to what they were. */
  readonly touched = new Set<string>();
  readonly #now: number;
  readonly #newExpiry: (place: string) => number | null;
  readonly #keys = new Map<string, { request: string; outcome: ModelOutcome }>();

  /** @param newExpiry the expiry of a row that begins */
  constructor(now = 0, newExpiry: (place: string) => number | null = () => null) {
    this.#now = now;
    this.#newExpiry = newExpiry;
  }

  /** From now on, the key is that of the request, which had this outcome. */
  know(key: string, request: CounterRequest, outcome: ModelOutcome): void {
    this.#keys.set(key, { request: textOf(request), outcome });
  }

  submit(request: CounterRequest): ModelOutcome {
    const { key } = request;
    const known = key === undefined ? undefined : this.#keys.get(key);
    if (known)
      return known.request === textOf(request)
        ? { ...known.outcome, replayed: true }
        : { code: 'key_reused' };
    const outcome = 'change' in request ? this.#change(request) : this.#add(request);
    if (key !== undefined && !('code' in outcome)) this.know(key, request, outcome);
    return outcome;
  }

  #put(place: string, row: ModelRow | undefined): void {
    this.touched.add(place);
    const exists = row !== undefined && (row.expiresAt === null || row.expiresAt > this.#now);
    if (exists) this.rows.set(place, row);
    else this.rows.delete(place);
  }

  #add({ increments, partial = false }: IncrementRequest): ModelOutcome {
    const before = new Map(this.rows);
    const values: number[] = [];
    let added = 0;
    for (const increment of increments) {
      const place = placeOf(increment);
      const row = this.rows.get(place) ?? {
        value: 0,
        min: null,
        max: null,
        expiresAt: this.#newExpiry(place),
      };
      added = partial ? fitting(increment, row) : increment.by;
      const refused = refusal(increment, row, added, before.get(place)?.value ?? 0);
      if (refused && !partial) {
        this.rows.clear();
        for (const [one, state] of before) this.rows.set(one, state);
        return refused;
      }
      const value = Number(BigInt(row.value) + BigInt(added));
      this.rows.set(place, { ...row, value });
      values.push(value);
    }
    for (const increment of increments) this.touched.add(placeOf(increment));
    return { values, ...(partial ? { added } : {}), replayed: false };
  }

  #change({ name, change, precondition }: ChangeRequest): ModelOutcome {
    const row = this.rows.get(name);
    const replaced = row ? row.value : null;
    const isDeletion = change === undefined;
    if (isDeletion && !row) return { state: null, replaced, replayed: false };
    const met =
      precondition === 'missing'
        ? !row
        : row !== undefined &&
          (precondition === 'exists' ||
            precondition.oneOf.some(
              (one) => JSON.stringify([one.value, one.min, one.max, one.expiresAt]) === textOfRow(row),
            ));
    if (!met) return { code: 'precondition_failed' };
    if (isDeletion) {
      this.#put(name, undefined);
      return { state: null, replaced, replayed: false };
    }
    const next = { ...(row ?? { value: 0, min: null, max: null, expiresAt: null }) };
    if (change.value !== undefined) next.value = change.value;
    if (change.min !== undefined) next.min = change.min;
    if (change.max !== undefined) next.max = change.max;
    if (change.expiresAt !== undefined)
      next.expiresAt = change.expiresAt === null ? null : Date.parse(change.expiresAt);
    if (!isWithin(BigInt(next.value), rangeOf(next))) return { code: 'out_of_bounds' };
    this.#put(name, next);
    return { state: { ...next, expiresAt: dateOf(next) }, replaced, replayed: false };
  }
}

const dateOf = ({ expiresAt }: ModelRow) => (expiresAt === null ? null : new Date(expiresAt).toISOString());

const textOfRow = (row: ModelRow) => JSON.stringify([row.value, row.min, row.max, dateOf(row)]);

/** What distinguishes requests with the same key. */
const textOf = (request: CounterRequest): string =>
  'change' in request
    ? JSON.stringify([request.name, request.change, request.precondition])
    : JSON.stringify([
        request.partial ?? false,
        request.increments.map((increment) => [
          placeOf(increment),
          increment.by,
          increment.min,
          increment.max,
        ]),
      ]);

type Range = readonly [low: bigint, high: bigint];

interface Bounds {
  min?: number | null | undefined;
  max?: number | null | undefined;
}

const rangeOf = ({ min, max }: Bounds): Range => [BigInt(min ?? -VALUE_MAX), BigInt(max ?? VALUE_MAX)];

const isWithin = (value: bigint, [low, high]: Range): boolean => low <= value && value <= high;

/** Of the amounts between 0 and `by`, the one nearest to `by` that all bounds admit; 0 if they admit none. */
function fitting({ by, min, max }: Increment, row: ModelRow): number {
  const wanted = BigInt(by);
  const ranges = [rangeOf(row), rangeOf({ min, max })].map((range) =>
    range.map((bound) => bound - BigInt(row.value)),
  );
  const way = wanted < 0n ? [wanted, 0n] : [0n, wanted];
  const lows = [...ranges, way].map(([low = 0n]) => low);
  const highs = [...ranges, way].map(([, high = 0n]) => high);
  const low = lows.reduce((a, b) => (a > b ? a : b));
  const high = highs.reduce((a, b) => (a < b ? a : b));
  if (low > high) return 0;
  return Number(wanted < 0n ? low : high);
}

/** @param start the value before the request */
function refusal(
  increment: Increment,
  row: ModelRow,
  added: number,
  start: number,
): ModelOutcome | undefined {
  const { name, min, max, window } = increment;
  const after = BigInt(row.value) + BigInt(added);
  const isOutOfRow = !isWithin(after, rangeOf(row));
  if (!isOutOfRow && isWithin(after, rangeOf({ min, max }))) return undefined;
  const bounds = isOutOfRow ? { min: row.min, max: row.max } : { min, max };
  const isAbove = after > rangeOf(bounds)[1];
  if ((isAbove ? bounds.max : bounds.min) == null) return { code: 'out_of_range' };
  // The next window begins at 0.
  const fitsLater =
    window !== undefined && !isOutOfRow && isWithin(after - BigInt(start), rangeOf({ min, max }));
  return {
    code: 'out_of_bounds',
    name,
    ...(window === undefined ? {} : { window: EQUAL[window] ?? window }),
    value: start,
    ...Object.fromEntries(Object.entries(bounds).filter(([, bound]) => bound != null)),
    fits: fitting(increment, row),
    ...(fitsLater ? { later: true } : {}),
  };
}

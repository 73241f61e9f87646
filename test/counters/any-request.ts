import type { Precondition } from '../../src/counters/change.ts';
import { VALUE_MAX } from '../../src/counters/counter.ts';
import type { CounterRequest, Increment, IncrementRequest } from '../../src/counters/request.ts';
import { fc } from '../property.ts';
import { isWindow, type ModelRow, placeOf } from './bounds-model.ts';

/** The names of the counters that may exist at first, and one that does not. */
export const NAMES = ['a', 'b', 'ü/"\\{}'] as const;
const anyName = fc.constantFrom(...NAMES, 'new');
const WINDOWS = ['1m', '60s', '1h'] as const;

/** The places of the rows that may exist at first. */
export const PLACES = [...NAMES, ...NAMES.map((name) => placeOf({ name, window: '1m' }))];

const nearLimit = (distanceMax: number) =>
  fc
    .tuple(fc.integer({ min: 0, max: distanceMax }), fc.constantFrom(-1, 1))
    .map(([distance, sign]) => sign * (VALUE_MAX - distance));

const anyAmount = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: -4, max: 4 }) },
  nearLimit(3),
  fc.maxSafeInteger(),
);

const anyValue = fc.oneof({ weight: 4, arbitrary: fc.integer({ min: -6, max: 6 }) }, nearLimit(5));

const clamped = (value: number) => Math.max(-VALUE_MAX, Math.min(VALUE_MAX, value));

const distance = fc.option(fc.integer({ min: 0, max: 6 }), { nil: undefined });

/** The expiry of rows that have not expired. */
export const LATER = Date.parse('2100-01-31T12:00:00.500Z');

/** A row that exists. */
const anyRow: fc.Arbitrary<ModelRow> = fc
  .tuple(anyValue, distance, distance, fc.constantFrom(null, null, LATER))
  .map(([value, below, above, expiresAt]) => ({
    value,
    min: below === undefined ? null : clamped(value - below),
    max: above === undefined ? null : clamped(value + above),
    expiresAt,
  }));

/** The rows that exist at first, by their places. Windows have no bounds. */
export const anyRows: fc.Arbitrary<Map<string, ModelRow>> = fc
  .tuple(...PLACES.map(() => fc.option(anyRow, { nil: undefined, freq: 3 })))
  .map(
    (rows) =>
      new Map(
        PLACES.flatMap((place, i): [string, ModelRow][] => {
          const row = rows[i];
          if (!row) return [];
          return [[place, isWindow(place) ? { ...row, min: null, max: null, expiresAt: LATER } : row]];
        }),
      ),
  );

const anyBounds = fc
  .tuple(
    fc.oneof(fc.integer({ min: -9, max: 9 }), nearLimit(5)),
    fc.oneof(fc.integer({ min: -9, max: 9 }), nearLimit(5)),
    fc.constantFrom('min', 'max', 'both'),
  )
  .map(([one, other, which]) => ({
    ...(which === 'max' ? {} : { min: Math.min(one, other) }),
    ...(which === 'min' ? {} : { max: Math.max(one, other) }),
  }));

const plainIncrement: fc.Arbitrary<Increment> = fc
  .tuple(anyName, anyAmount, fc.option(fc.constantFrom(...WINDOWS), { nil: undefined, freq: 3 }))
  .map(([name, by, window]) => ({ name, by, ...(window ? { window } : {}) }));

const anyIncrement: fc.Arbitrary<Increment> = fc.oneof(
  { weight: 2, arbitrary: plainIncrement },
  fc.tuple(plainIncrement, anyBounds).map(([increment, bounds]) => ({ ...increment, ...bounds })),
);

/** A request that is written as a part of a plain batch if it has no key. */
export const plainRequest: fc.Arbitrary<IncrementRequest> = fc.record({
  increments: fc.oneof(fc.tuple(plainIncrement), fc.array(plainIncrement, { minLength: 2, maxLength: 4 })),
});

/** Plain requests of one row, each with one increment or several. */
export const plainRequestOf: fc.Arbitrary<fc.Arbitrary<IncrementRequest>> = plainIncrement.map((one) =>
  fc
    .array(anyAmount, { minLength: 1, maxLength: 3 })
    .map((amounts) => ({ increments: amounts.map((by) => ({ ...one, by })) })),
);

const someIncrements: fc.Arbitrary<IncrementRequest> = fc.oneof(
  fc.record({ increments: fc.tuple(anyIncrement), partial: fc.boolean() }),
  fc.record({ increments: fc.array(anyIncrement, { minLength: 2, maxLength: 4 }) }),
);

/** A change that can be valid: its bounds and its value are in order. */
const anyChange = fc
  .tuple(
    fc.array(fc.oneof(fc.integer({ min: -6, max: 6 }), nearLimit(5)), { minLength: 3, maxLength: 3 }),
    fc.subarray(['min', 'value', 'max'] as const),
    fc.subarray(['min', 'max'] as const),
    fc.constantFrom(undefined, null, LATER, Date.parse('2001-01-01T00:00:00Z')),
  )
  .map(([numbers, given, removed, expiry]) => {
    const [min = 0, value = 0, max = 0] = numbers.toSorted((a, b) => a - b);
    const all = { min, value, max };
    return {
      ...Object.fromEntries(removed.map((field) => [field, null])),
      ...Object.fromEntries(given.map((field) => [field, all[field]])),
      ...(expiry === undefined ? {} : { expiresAt: expiry === null ? null : new Date(expiry).toISOString() }),
    };
  });

/** A precondition; `expected` stands for the state that the counter had at first. */
const anyPrecondition = fc.constantFrom('exists', 'missing', 'expected', 'other');

const someChange = fc.record({
  name: anyName,
  change: fc.option(anyChange, { nil: undefined, freq: 3 }),
  precondition: anyPrecondition,
});

const stateOf = ({ expiresAt, ...row }: ModelRow) => ({
  ...row,
  expiresAt: expiresAt === null ? null : new Date(expiresAt).toISOString(),
});

const NOTHING: ModelRow = { value: 7, min: 7, max: null, expiresAt: null };

function preconditionOf(which: string, row: ModelRow = NOTHING): Precondition {
  if (which === 'exists' || which === 'missing') return which;
  return { oneOf: [stateOf(NOTHING), stateOf(which === 'expected' ? row : { ...row, value: 0.5 })] };
}

const anyKey = fc.option(fc.integer({ min: 0, max: 8 }).map(String), { nil: undefined });

/** A request, given the rows that exist at first. */
type RequestOn = (rows: ReadonlyMap<string, ModelRow>) => CounterRequest;

const keyed = (key: string | undefined) => (key === undefined ? {} : { key });

const increments: fc.Arbitrary<RequestOn> = fc.tuple(someIncrements, anyKey).map(([request, key]) => () => ({
  ...request,
  ...keyed(key),
}));

const change: fc.Arbitrary<RequestOn> = fc
  .tuple(someChange, anyKey)
  .map(([{ name, change: to, precondition }, key]) => (rows) => {
    const condition = to === undefined && precondition === 'missing' ? 'exists' : precondition;
    return {
      name,
      change: to,
      precondition: preconditionOf(condition, rows.get(name)),
      ...keyed(key),
    };
  });

const anyRequest = fc.oneof({ weight: 3, arbitrary: increments }, change);

/** Rows that exist at first, and batches of requests; no two requests of a batch have the same key. */
export const anyLoad = ({ batchesMax, requestsMax }: { batchesMax: number; requestsMax: number }) =>
  fc
    .tuple(
      anyRows,
      fc.array(fc.array(anyRequest, { minLength: 1, maxLength: requestsMax }), {
        minLength: 1,
        maxLength: batchesMax,
      }),
    )
    .map(([rows, batches]) => ({
      rows,
      batches: batches.map((batch) => {
        const requests = batch.map((request) => request(rows));
        return requests.filter(
          ({ key }, i) => key === undefined || requests.findIndex((other) => other.key === key) === i,
        );
      }),
    }));

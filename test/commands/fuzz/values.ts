import { fc } from '../../property.ts';
import type { Schema } from './document.ts';

/** Parameters that set the amount of work: kept small, since the fuzz test does not measure load. */
const SIZES = new Set(['workers', 'increments']);

/** Texts of a form that a schema only describes. */
const FORMS: Record<string, string[]> = {
  window: ['1s', '60s', '15m', '1h', '7d', '9999d'],
  expires_at: ['2100-01-31T12:00:00Z', '2100-01-31T12:00:00.5+01:00', '2001-01-01T00:00:00Z'],
};

/** Bounds that do not contradict each other, nor most of the values. */
const RANGES: Record<string, fc.Arbitrary<number>> = {
  min: fc.integer({ min: -20, max: -5 }),
  max: fc.integer({ min: 5, max: 20 }),
};

/** A few names, so that requests find what earlier ones have created. */
const COMMON = ['likes', 'views', 'ünïcödé', '👍🏽', 'a b', 'x%y_z\\', '1', '2', '3'];

const STRANGE = [
  '',
  ' ',
  '.',
  '..',
  'a/b',
  '?#&=',
  '\u0000',
  'a\nb',
  '\ud800',
  '\uffff',
  '__proto__',
  'null',
];

const NUMBERS = [0, 1, -1, 2 ** 31, 2 ** 53 - 1, 1 - 2 ** 53, 2 ** 53, 2 ** 63, -(2 ** 64), 0.5, 1e300];

const repeated = fc
  .tuple(fc.constantFrom('a', 'é', '👍'), fc.constantFrom(1, 100, 199, 200, 201, 5000))
  .map(([one, times]) => one.repeat(times));

const text = fc.oneof(
  { arbitrary: fc.constantFrom(...COMMON), weight: 20 },
  { arbitrary: fc.constantFrom(...STRANGE), weight: 2 },
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
  repeated,
);

const ofAnotherType: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(null, true, '1', '', [], {}, ...NUMBERS),
  fc.jsonValue({ maxDepth: 2 }),
);

/** Values that a schema accepts, and values that it narrowly refuses; a validator decides which is which. */
export function near(schema: Schema, name = '', example?: unknown): fc.Arbitrary<unknown> {
  const wrong = { arbitrary: ofAnotherType, weight: 1 };
  const documented = { arbitrary: fc.constant(example), weight: example === undefined ? 0 : 2 };
  return fc.oneof({ arbitrary: fitting(schema, name), weight: 20 }, documented, wrong);
}

function fitting(schema: Schema, name: string): fc.Arbitrary<unknown> {
  const form = FORMS[name];
  if (form) return fc.oneof({ arbitrary: fc.constantFrom(...form), weight: 20 }, text);
  const range = RANGES[name];
  if (range && schema.type === 'integer')
    return fc.oneof({ arbitrary: range, weight: 9 }, integer(schema, name));
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map((one) => fitting(one, name)));
  if (schema.type === 'boolean') return fc.boolean();
  if (schema.type === 'null') return fc.constant(null);
  if (schema.enum) return fc.oneof({ arbitrary: fc.constantFrom(...schema.enum), weight: 20 }, text);
  if (schema.type === 'integer') return integer(schema, name);
  if (schema.type === 'array') return fc.array(near(schema.items ?? {}, name), { maxLength: 4 });
  if (schema.type === 'object') return object(schema);
  return text;
}

function integer({ minimum = -5, maximum = 2 ** 53 }: Schema, name: string): fc.Arbitrary<number> {
  const outside = [minimum - 1, maximum + 1];
  if (SIZES.has(name)) return fc.constantFrom(1, 1, 1, 2, 2, 2, ...outside);
  return fc.oneof(
    { arbitrary: fc.integer({ min: minimum, max: Math.min(maximum, minimum + 10) }), weight: 9 },
    fc.constantFrom(...outside, minimum, maximum, ...NUMBERS),
  );
}

/** Mostly the documented fields; sometimes a required one is missing, or one is added. */
function object({ properties = {}, required = [] }: Schema): fc.Arbitrary<object> {
  const fields = Object.entries(properties).map(([name, schema]) => {
    const value = near(schema, name);
    // Most increments are to count in the counter itself.
    return [name, name === 'window' ? fc.option(value, { nil: undefined, freq: 1 }) : value] as const;
  });
  const known = fc.record(Object.fromEntries(fields), { requiredKeys: required });
  const broken = fc.record({ ...Object.fromEntries(fields), extra: ofAnotherType }, { requiredKeys: [] });
  return fc.oneof({ arbitrary: known, weight: 20 }, { arbitrary: broken, weight: 1 });
}

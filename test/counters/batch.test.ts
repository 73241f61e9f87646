import t from 'tap';
import { compose, valuesOf } from '../../src/counters/batch.ts';
import { fingerprintOf } from '../../src/counters/request.ts';
import { fc } from '../property.ts';

const increment = fc.record({ name: fc.constantFrom('a', 'b', 'c'), by: fc.integer() });
const requests = fc.array(fc.record({ increments: fc.array(increment, { minLength: 1, maxLength: 4 }) }), {
  minLength: 1,
  maxLength: 20,
});

t.test('a batch has the same effect and the same answers as its requests one after another', async (t) => {
  fc.assert(
    fc.property(requests, fc.integer(), (all, start) => {
      const values = new Map<string, number>();
      const valuesByName = new Map<string, number[]>();
      const oneByOne = all.map(({ increments }) =>
        increments.map(({ name, by }) => {
          const value = (values.get(name) ?? start) + by;
          values.set(name, value);
          valuesByName.set(name, [...(valuesByName.get(name) ?? []), value]);
          return value;
        }),
      );
      const batch = compose(all);
      const after = batch.deltas.map(({ name }) => BigInt(values.get(name) ?? 0));
      t.strictSame(valuesOf(batch, after), oneByOne);
      for (const { name, total, low, high } of batch.deltas) {
        const ownValues = valuesByName.get(name) ?? [];
        t.equal(start + Number(total), values.get(name));
        t.equal(start + Number(low), Math.min(...ownValues));
        t.equal(start + Number(high), Math.max(...ownValues));
      }
    }),
    { numRuns: 50 },
  );
});

t.test(
  'fingerprints distinguish requests by the names, amounts, order and number of their increments',
  async (t) => {
    const prints = [
      [{ name: 'a', by: 1 }],
      [{ name: 'a', by: -1 }],
      [{ name: 'a', by: 11 }],
      [{ name: 'a1', by: 1 }],
      [
        { name: 'a', by: 1 },
        { name: 'b', by: 1 },
      ],
      [
        { name: 'b', by: 1 },
        { name: 'a', by: 1 },
      ],
      [{ name: 'a","b', by: 1 }],
    ].map((increments) => fingerprintOf({ increments }));
    t.equal(new Set(prints).size, prints.length);
    const increments = [{ name: 'a', by: 1 }];
    t.equal(fingerprintOf({ increments, partial: false }), prints[0]);
    t.not(fingerprintOf({ increments, partial: true }), prints[0]);
  },
);

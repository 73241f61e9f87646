import { hash } from 'node:crypto';
import t from 'tap';
import { compose, overshoots, valuesOf } from '../../src/counters/batch.ts';
import { type CounterRequest, type Increment, isOfRequest, pendingOf } from '../../src/counters/request.ts';
import { idOf, inOrder } from '../../src/counters/row.ts';
import { fc } from '../property.ts';

const NOW = 1e12;
t.intercept(Date, 'now', { value: () => NOW });

const increment: fc.Arbitrary<Increment> = fc.record(
  {
    name: fc.constantFrom('a', 'b', 'c'),
    by: fc.integer(),
    window: fc.constantFrom('1m', '60s', '1h'),
  },
  { requiredKeys: ['name', 'by'] },
);
const requests = fc.array(fc.record({ increments: fc.array(increment, { minLength: 1, maxLength: 4 }) }), {
  minLength: 1,
  maxLength: 20,
});

t.test('a batch has the same effect and the same answers as its requests one after another', async (t) => {
  fc.assert(
    fc.property(requests, fc.integer(), (all, start) => {
      const values = new Map<string, number>();
      const valuesByRow = new Map<string, number[]>();
      const pending = all.map(pendingOf);
      const oneByOne = pending.map(({ increments }) =>
        increments.map(({ row, by }) => {
          const id = idOf(row);
          const value = (values.get(id) ?? start) + by;
          values.set(id, value);
          valuesByRow.set(id, [...(valuesByRow.get(id) ?? []), value]);
          return value;
        }),
      );
      const batch = compose(pending);
      const after = batch.deltas.map(({ row }) => values.get(idOf(row)) ?? 0);
      t.strictSame(valuesOf(batch, after), oneByOne);
      t.strictSame(
        batch.deltas.map(({ row }) => row),
        batch.deltas.map(({ row }) => row).toSorted(inOrder),
        'rows are locked in the same order by every batch',
      );
      for (const [i, delta] of batch.deltas.entries()) {
        const { row, total, low, high, at } = delta;
        const ownValues = valuesByRow.get(idOf(row)) ?? [];
        t.equal(at, i);
        t.equal(start + Number(total), values.get(idOf(row)));
        t.equal(start + Number(low), Math.min(...ownValues));
        t.equal(start + Number(high), Math.max(...ownValues));
        const span = [start, values.get(idOf(row)) ?? 0];
        const leavesSpan = ownValues.some((value) => value < Math.min(...span) || value > Math.max(...span));
        t.equal(
          overshoots(delta),
          leavesSpan,
          'whether a partial sum can leave bounds that the result obeys',
        );
      }
    }),
    { numRuns: 50 },
  );
});

const fingerprintOf = (increments: readonly Increment[], more: { partial?: boolean } = {}) =>
  pendingOf({ increments, key: 'any', ...more }).fingerprint;

t.test(
  'fingerprints distinguish requests by the names, amounts, bounds, windows, order and number of their increments',
  async (t) => {
    const prints = (
      [
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
        [{ name: 'a', by: 1, min: 0 }],
        [{ name: 'a', by: 1, max: 0 }],
        [{ name: 'a', by: 1, window: '1m' }],
        [{ name: 'a', by: 1, window: '1h' }],
      ] as Increment[][]
    ).map((increments) => fingerprintOf(increments));
    t.equal(new Set(prints).size, prints.length);
    const increments = [{ name: 'a', by: 1 }];
    t.equal(fingerprintOf(increments, { partial: false }), prints[0]);
    t.not(fingerprintOf(increments, { partial: true }), prints[0]);
    const inMinute = (window: string) => fingerprintOf([{ name: 'a', by: 1, window }]);
    t.equal(inMinute('60s'), inMinute('1m'), 'equal windows are the same request');
  },
);

const digest = (text: string) => hash('sha256', text, 'hex').slice(0, 32);

t.test('a key that an earlier version stored is still that of the same request', async (t) => {
  const bulk = [
    { name: 'a', by: 1 },
    { name: 'b', by: -2, max: 5, window: '60s' },
  ];
  const change = { value: 3, min: null, expiresAt: '2100-01-31T12:00:00Z' };
  const keys: [CounterRequest, string][] = [
    [{ increments: bulk.slice(0, 1) }, '[["a",1]]'],
    [{ increments: bulk.slice(0, 1), partial: true }, 'partial [["a",1]]'],
    [{ increments: bulk }, '[["a",1],["b",-2,{"max":5,"window":"60s"}]]'],
    [{ increments: bulk }, '[["a",1],["b",-2,{"max":5,"window":"1m"}]]'],
    [{ name: 'a', change: { max: 5 }, precondition: 'exists' }, 'put ["a",null,null,5,"exists"]'],
    [
      {
        name: 'a',
        change,
        precondition: { oneOf: [{ value: 1, min: null, max: 2, expiresAt: null }] },
      },
      'put ["a",3,"none",null,{"oneOf":[{"value":1,"min":null,"max":2}]},"2100-01-31T12:00:00Z"]',
    ],
  ];
  for (const [sent, stored] of keys) {
    const pending = pendingOf({ ...sent, key: 'any' });
    t.ok(isOfRequest(pending, digest(stored)), stored);
    t.notOk(isOfRequest(pending, digest(`${stored} `)));
    t.match(pending.key, /^[0-9a-f]{32}$/);
    t.match(pending.fingerprint, /^[0-9a-f]{32}$/);
  }
});

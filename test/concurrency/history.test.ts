import t from 'tap';
import { type Add, checkBound, checkValues, type Outcome, witness } from '../../src/concurrency/history.ts';
import { fc } from '../property.ts';

const add = (startedAt: number, endedAt: number, value?: number, outcome: Outcome = 'acknowledged'): Add => ({
  startedAt,
  endedAt,
  by: 1,
  outcome,
  ...(value === undefined ? {} : { value }),
});
const read = (startedAt: number, endedAt: number, value: number) => ({ startedAt, endedAt, value });

t.test('the bound accepts every legal value of a counter', async (t) => {
  const adds = [
    add(0, 10),
    add(20, 30),
    add(20, 30, undefined, 'unknown'),
    add(20, 30, undefined, 'refused'),
  ];
  const legal = [
    read(11, 12, 1),
    read(5, 6, 0),
    read(5, 6, 1),
    read(25, 26, 3),
    read(40, 41, 2),
    read(40, 41, 3),
  ];
  t.strictSame(checkBound(0, adds, legal), []);
});

t.test('the bound rejects a value that misses an acknowledged add', async (t) => {
  t.match(checkBound(0, [add(0, 10)], [read(11, 12, 0)]), [/read 0, but .* between 1 and 1/]);
});

t.test('the bound rejects a value that no add can have written yet', async (t) => {
  t.match(checkBound(5, [add(20, 30)], [read(0, 10, 6)]), [/between 5 and 5/]);
  t.match(checkBound(0, [add(0, 10, undefined, 'refused')], [read(20, 30, 1)]), [/between 0 and 0/]);
});

t.test('an add with an unknown outcome stays possible, and never becomes certain', async (t) => {
  const adds = [add(0, 10, undefined, 'unknown')];
  t.strictSame(checkBound(0, adds, [read(1000, 1001, 0), read(1000, 1001, 1)]), []);
  t.match(checkBound(0, adds, [read(1000, 1001, 2)]), [/between 0 and 1/]);
});

t.test('the bound allows for negative amounts', async (t) => {
  const adds = [{ ...add(0, 10), by: -3 }];
  t.strictSame(checkBound(0, adds, [read(5, 6, -3), read(5, 6, 0), read(20, 30, -3)]), []);
  t.match(checkBound(0, adds, [read(20, 30, 0)]), [/between -3 and -3/]);
});

t.test('consecutive values in real-time order are legal', async (t) => {
  t.strictSame(checkValues(6, [add(0, 10, 7), add(5, 25, 9), add(11, 20, 8)]), []);
});

t.test('two increments that wrote the same value are the witness of a lost update', async (t) => {
  const history = [add(0, 10, 7), add(5, 12, 8), add(6, 13, 8)];
  t.strictSame(witness(history), [history[1], history[2]]);
  t.match(checkValues(6, history), [/two increments wrote 8/, /no increment wrote 9/]);
});

t.test('a gap is a violation, unless an increment with an unknown outcome can fill it', async (t) => {
  t.match(checkValues(0, [add(0, 1, 1), add(2, 3, 3)]), [
    /wrote 3, but .* between 1 and 2/,
    /no increment wrote 2/,
  ]);
  t.strictSame(checkValues(0, [add(0, 1, 1), add(1, 9, undefined, 'unknown'), add(2, 3, 3)]), []);
});

t.test('an increment that began after another one had ended must have written a higher value', async (t) => {
  t.match(checkValues(0, [add(0, 1, 2), add(2, 3, 1)]), [/wrote 1 although .* had written 2/]);
});

t.test('an acknowledged increment without a value is a programming error', async (t) => {
  t.throws(() => checkValues(0, [add(0, 1)]), TypeError);
});

/** Histories of a correct counter: each add takes effect at one moment between its beginning and its end. */
const linearizable = fc
  .array(fc.record({ at: fc.integer({ min: 1, max: 1000 }), before: fc.nat(50), after: fc.nat(50) }), {
    minLength: 1,
  })
  .map((moments) =>
    moments
      .toSorted((a, b) => a.at - b.at)
      .map(({ at, before, after }, i) => add(at * 100 + i - before - 0.5, at * 100 + i + after + 0.5, i + 1)),
  );

t.test('every history of a correct counter is legal', async (t) => {
  fc.assert(
    fc.property(linearizable, (history) => {
      const final = read(1e9, 1e9 + 1, history.length);
      return checkValues(0, history).length === 0 && checkBound(0, history, [final]).length === 0;
    }),
  );
  t.pass();
});

t.test('a history with an overwritten acknowledged increment is never legal', async (t) => {
  fc.assert(
    fc.property(linearizable, fc.nat(), (history, which) => {
      // One increment overwrites another one: from there on every value is one lower.
      const lostAt = which % history.length;
      const lossy = history.map((one, i) => ({ ...one, value: i >= lostAt ? i : i + 1 }));
      const final = read(1e9, 1e9 + 1, history.length - 1);
      return checkValues(0, lossy).length > 0 && checkBound(0, lossy, [final]).length > 0;
    }),
  );
  t.pass();
});

t.test('with unknown outcomes a value may be higher, but not above the number of attempts', async (t) => {
  const unknown = add(0, 9, undefined, 'unknown');
  t.strictSame(checkValues(0, [unknown, add(1, 2, 2)]), []);
  for (const value of [-500, 0, 3, 9999]) {
    t.match(checkValues(0, [unknown, add(1, 2, value)]), [/had to lie between 1 and 2/]);
  }
});

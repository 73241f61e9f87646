import t from 'tap';
import type { Outcome } from '../../src/concurrency/history.ts';
import { check, checkReplays } from '../../load-tests/fault-test/checks/checker.ts';
import { damageOf } from '../../load-tests/fault-test/checks/damage.ts';
import { type History, noHistory, type Truth } from '../../load-tests/fault-test/journal/history.ts';
import { type Kind, type Operation, TICKETS } from '../../load-tests/fault-test/journal/operation.ts';

const never = Number.MAX_SAFE_INTEGER;
const max = Number.MAX_SAFE_INTEGER;

/** Operations do not overlap: number 0 takes from 0 to 5, number 1 from 10 to 15, and so on. */
const operation = (
  id: number,
  outcome: Outcome,
  values?: number[],
  kind: Kind = 'single',
  about?: string,
): Operation => ({
  id,
  kind,
  startedAt: id * 10,
  endedAt: outcome === 'unknown' ? never : id * 10 + 5,
  outcome,
  fault: 0,
  ...(values ? { values } : {}),
  ...(about ? { about } : {}),
});

const history = (...operations: Operation[]): History => ({ ...noHistory(), operations });

const truth = (counted: Record<number, number[]>, values: Record<string, number>): Truth => ({
  counted: new Map(Object.entries(counted).map(([id, kept]) => [Number(id), kept])),
  unsentKeys: [],
  values: new Map(Object.entries(values)),
});

const rulesOf = (of: History, is: Truth, settled = false) => [
  ...new Set(check(of, is, settled).map(({ rule }) => rule)),
];

t.test('acknowledged is counted, refused is not, unknown may be either: no violation', async (t) => {
  const one = history(
    operation(0, 'acknowledged', [1]),
    operation(1, 'refused'),
    operation(2, 'unknown'),
    operation(3, 'unknown'),
    operation(4, 'acknowledged', [3, 1, 1], 'bulk'),
    operation(5, 'acknowledged', [-5], 'amount'),
    operation(6, 'acknowledged', [1], 'unkeyed'),
    operation(7, 'unknown', undefined, 'unkeyed'),
    operation(8, 'unknown', undefined, 'unkeyed-bulk'),
    operation(9, 'refused', undefined, 'edge'),
    operation(10, 'acknowledged', [max, 0, -1], 'edge'),
  );
  const own = { 'own-4': 1, 'own-6': 1, 'own-8-a': 1, 'own-8-b': 1, 'own-8-c': 1, 'own-10': -1 };
  const shared = { hot: 3, left: 1, amounts: -5 };
  const is = truth({ 0: [1], 2: [2], 4: [3, 1, 1], 5: [-5] }, { ...shared, ...own });
  t.strictSame(check(one, is, false), []);
});

t.test('an acknowledged increment that the database does not have is lost', async (t) => {
  const one = history(operation(0, 'acknowledged', [1]), operation(1, 'acknowledged', [2]));
  const is = truth({ 0: [1] }, { hot: 1 });
  t.strictSame(rulesOf(one, is), ['acknowledged']);
  t.strictSame(damageOf(one, is), [{ lost: 1, doubled: 0 }]);
});

t.test('a refused increment that was counted is a violation', async (t) => {
  t.strictSame(rulesOf(history(operation(0, 'refused')), truth({ 0: [1] }, { hot: 1 })), ['refused']);
});

t.test('a counter above the sum of its increments counted one of them twice', async (t) => {
  const one = history(operation(0, 'acknowledged', [1]), operation(1, 'acknowledged', [3]));
  const is = truth({ 0: [1], 1: [3] }, { hot: 3 });
  t.strictSame(rulesOf(one, is), ['sum', 'values', 'bound']);
  t.strictSame(damageOf(one, is), [{ lost: 0, doubled: 1 }]);
});

t.test('a counter below the sum of its increments was overwritten', async (t) => {
  const one = history(operation(0, 'acknowledged', [1]), operation(1, 'acknowledged', [1]));
  t.strictSame(rulesOf(one, truth({ 0: [1], 1: [1] }, { hot: 1 })), ['sum', 'values', 'bound']);
});

t.test('an increment that began after another one had ended must have written a higher value', async (t) => {
  const one = history(operation(0, 'acknowledged', [2]), operation(1, 'acknowledged', [1]));
  t.strictSame(rulesOf(one, truth({ 0: [2], 1: [1] }, { hot: 2 })), ['values']);
});

t.test('a counted increment with an unknown outcome is checked by its stored value', async (t) => {
  const one = history(operation(0, 'unknown'), operation(1, 'acknowledged', [2]));
  t.strictSame(rulesOf(one, truth({ 0: [1], 1: [2] }, { hot: 2 })), []);
  t.strictSame(rulesOf(one, truth({ 0: [2], 1: [2] }, { hot: 2 })), ['values']);
});

t.test('the answered value is the stored one, and every stored key was sent', async (t) => {
  const one = history(operation(0, 'acknowledged', [1]));
  t.strictSame(rulesOf(one, truth({ 0: [2] }, { hot: 1 })), ['answers', 'values']);
  t.strictSame(rulesOf(one, { ...truth({ 0: [1] }, { hot: 1 }), unsentKeys: ['x'] }), ['unsent']);
});

t.test('without keys, a counter lies between its acknowledged and its possible increments', async (t) => {
  const one = history(
    operation(0, 'acknowledged', [1], 'shared'),
    operation(1, 'unknown', undefined, 'shared'),
    operation(2, 'refused', undefined, 'shared'),
  );
  for (const value of [1, 2]) t.strictSame(rulesOf(one, truth({}, { unkeyed: value })), []);
  for (const value of [0, 3]) t.strictSame(rulesOf(one, truth({}, { unkeyed: value })), ['bound']);
  t.strictSame(damageOf(one, truth({}, { unkeyed: 0 })), [{ lost: 1, doubled: 0 }]);
  t.strictSame(damageOf(one, truth({}, { unkeyed: 4 })), [{ lost: 0, doubled: 2 }]);
});

t.test('a counter that only one request uses shows the outcome of that request', async (t) => {
  for (const [outcome, legal] of [
    ['acknowledged', [1]],
    ['refused', [0]],
    ['unknown', [0, 1]],
  ] as const) {
    const one = history(operation(0, outcome, outcome === 'acknowledged' ? [1] : undefined, 'unkeyed'));
    for (const value of [0, 1, 2]) {
      const expected = (legal as readonly number[]).includes(value) ? [] : ['own'];
      t.strictSame(rulesOf(one, truth({}, { 'own-0': value })), expected, `${outcome}, and ${value}`);
    }
  }
  const unkeyed = history(
    operation(0, 'acknowledged', [1], 'unkeyed'),
    operation(1, 'unknown', undefined, 'unkeyed'),
  );
  t.strictSame(damageOf(unkeyed, truth({}, { 'own-0': 2, 'own-1': 2 })), [{ lost: 0, doubled: 2 }]);
  t.strictSame(damageOf(unkeyed, truth({}, {})), [{ lost: 1, doubled: 0 }]);
  t.strictSame(
    rulesOf(unkeyed, truth({}, { 'own-0': 1, 'own-7': 1 })),
    ['unsent'],
    'no request used that counter',
  );
  const wrong = history(operation(0, 'acknowledged', [2], 'unkeyed'));
  t.strictSame(rulesOf(wrong, truth({}, { 'own-0': 1 })), ['answers']);
});

t.test('a bulk is counted as a whole or not at all', async (t) => {
  const unkeyed = history(operation(0, 'unknown', undefined, 'unkeyed-bulk'));
  t.strictSame(rulesOf(unkeyed, truth({}, { 'own-0-a': 1, 'own-0-b': 1 })), ['whole']);
  const keyed = history(operation(0, 'acknowledged', [1, 1, 1], 'bulk'));
  t.strictSame(rulesOf(keyed, truth({ 0: [1, 1, 1] }, { hot: 1, left: 1 })), ['whole']);
});

t.test('a counter with bounds never leaves them', async (t) => {
  // Operation 12 adds 2.
  for (const kind of ['stock', 'quota'] as const) {
    const within = history(
      operation(12, 'acknowledged', [2], kind),
      operation(13, 'refused', undefined, kind),
    );
    t.strictSame(rulesOf(within, truth({ 12: [2] }, { [kind]: 2 })), []);
    for (const value of [-1, 101]) {
      const one = history(operation(12, 'acknowledged', [value], kind));
      t.ok(rulesOf(one, truth({ 12: [value] }, { [kind]: 2 })).includes('bounds'), `${kind} ${value}`);
    }
  }
});

/** The buyers of one round, one after another: first those that get a ticket, then those that are refused. */
const sale = (sold: number, refused: number) => {
  const buyers = Array.from({ length: sold + refused }, (_, id) =>
    id < sold
      ? operation(id, 'acknowledged', [id + 1], 'ticket', '7')
      : operation(id, 'refused', undefined, 'ticket', '7'),
  );
  const kept = Object.fromEntries(buyers.slice(0, sold).map(({ id }) => [id, [id + 1]]));
  return { buyers, is: truth(kept, { 'tickets-7': sold }) };
};

t.test('every ticket is sold, and no buyer is refused before the last one is sold', async (t) => {
  const { buyers, is } = sale(TICKETS, 3);
  const [first, ...others] = buyers as [Operation, ...Operation[]];
  const last = buyers.at(-1) as Operation;
  t.strictSame(check(history(...buyers), is, true), []);
  const early = { ...last, startedAt: 0, endedAt: 1 };
  t.strictSame(
    rulesOf(history(...buyers.slice(0, -1), early), is),
    ['tickets'],
    'refused before the tickets were sold out',
  );
  const waited = { ...last, startedAt: 0 };
  t.strictSame(
    rulesOf(history(...buyers.slice(0, -1), waited), is),
    [],
    'sent early, and refused after the tickets were sold out',
  );
  const unknown = { ...first, outcome: 'unknown' as const, endedAt: never };
  t.strictSame(rulesOf(history(unknown, ...others), is), [], 'bought a ticket, and has no answer yet');
});

t.test('unsold tickets, sales beyond the stock and tickets sold twice are violations', async (t) => {
  const fewer = sale(TICKETS - 1, 3);
  t.strictSame(rulesOf(history(...fewer.buyers), fewer.is), ['tickets']);
  const more = sale(TICKETS + 1, 3);
  t.strictSame(rulesOf(history(...more.buyers), more.is), ['tickets']);
  const { buyers, is } = sale(TICKETS, 3);
  const twice = { ...(buyers[1] as Operation), values: [1] };
  const kept = new Map([...is.counted, [1, [1]] as const]);
  const one = history(...buyers.map((buyer) => (buyer.id === 1 ? twice : buyer)));
  t.strictSame(rulesOf(one, { ...is, counted: kept }), ['values'], 'one ticket for two buyers');
  const denied = { ...(buyers[1] as Operation), outcome: 'refused' as const };
  t.ok(rulesOf(history(...buyers.map((buyer) => (buyer.id === 1 ? denied : buyer))), is).includes('refused'));
});

t.test('an increment beyond the range is not counted, and one within the range is', async (t) => {
  const over = history(operation(1, 'refused', undefined, 'edge'));
  t.strictSame(rulesOf(over, truth({}, {})), []);
  t.strictSame(rulesOf(over, truth({}, { 'own-1': max })), ['range']);
  const within = history(operation(0, 'acknowledged', [max, 0, -1], 'edge'));
  t.strictSame(rulesOf(within, truth({}, {})), ['range']);
});

t.test('an expired key counts once more', async (t) => {
  const one = history(operation(0, 'acknowledged', [1]), operation(1, 'acknowledged', [2], 'again', '0'));
  one.expired.add(0);
  t.strictSame(rulesOf(one, truth({ 0: [2] }, { hot: 2 }), true), []);
  t.strictSame(rulesOf(one, truth({ 0: [1] }, { hot: 1 }), true), ['answers', 'sum', 'values', 'bound']);
});

t.test('the states of a document form a chain: each one is replaced once', async (t) => {
  const put = (id: number, outcome: Outcome, about: string) =>
    operation(id, outcome, outcome === 'acknowledged' ? [id] : undefined, 'put', about);
  const gone = operation(3, 'acknowledged', [], 'delete', '2');
  const path = history(put(1, 'acknowledged', 'missing'), put(2, 'unknown', '1'), gone);
  t.strictSame(rulesOf(path, truth({}, {})), []);
  t.strictSame(rulesOf(path, truth({}, { 'document-0': 1 })), ['documents'], 'deleted, but still present');
  const twice = history(
    put(1, 'acknowledged', 'missing'),
    put(2, 'acknowledged', '1'),
    put(3, 'acknowledged', '1'),
  );
  t.strictSame(rulesOf(twice, truth({}, { 'document-0': 3 })), ['documents'], 'one state was replaced twice');
  const open = history(put(1, 'acknowledged', 'missing'), put(2, 'unknown', '1'), put(3, 'refused', '1'));
  for (const end of [1, 2]) t.strictSame(rulesOf(open, truth({}, { 'document-0': end })), []);
  t.strictSame(rulesOf(open, truth({}, { 'document-0': 3 })), ['documents'], 'refused, but stored');
  t.strictSame(rulesOf(open, truth({}, {})), ['documents'], 'acknowledged, but missing');
  const early = history(put(1, 'acknowledged', '2'), put(2, 'acknowledged', 'missing'));
  t.strictSame(
    rulesOf(early, truth({}, { 'document-0': 1 })),
    ['documents'],
    'replaced before it was written',
  );
});

/** A read that takes one unit of time. */
const read = (startedAt: number, value: number) => ({
  name: 'hot',
  startedAt,
  endedAt: startedAt + 1,
  value,
});

t.test('a read sees all increments acknowledged or read before it, and no later ones', async (t) => {
  const one = history(operation(0, 'acknowledged', [1]), operation(3, 'unknown'));
  const is = truth({ 0: [1], 3: [2] }, { hot: 2 });
  for (const [reads, legal] of [
    [[read(6, 1), read(40, 1), read(50, 2)], true],
    [[read(6, 0)], false],
    [[read(6, 2)], false],
    [[read(40, 2), read(50, 1)], false],
    [[read(40, 2), read(40.5, 1)], true],
  ] as const) {
    t.strictSame(rulesOf({ ...one, reads: [...reads] }, is), legal ? [] : ['reads'], JSON.stringify(reads));
  }
});

t.test('a failover may undo an increment that was only read, but no acknowledged one', async (t) => {
  const one = history(operation(0, 'acknowledged', [1]), operation(3, 'unknown'));
  one.failovers.push({ startedAt: 45, endedAt: 60 });
  const is = truth({ 0: [1], 3: [2] }, { hot: 2 });
  for (const [reads, legal] of [
    [[read(40, 2), read(44, 1)], false],
    [[read(40, 2), read(50, 1)], true],
    [[read(40, 2), read(50, 0)], false],
    [[read(40, 2), read(50, 2), read(58, 1), read(61, 1)], true],
    [[read(40, 2), read(61, 2), read(70, 1)], false],
  ] as const) {
    t.strictSame(rulesOf({ ...one, reads: [...reads] }, is), legal ? [] : ['reads'], JSON.stringify(reads));
  }
  // An increment that only the old primary had, and that was refused because the new primary does not have it.
  const gone = history(operation(0, 'acknowledged', [1]), operation(3, 'refused'));
  gone.failovers.push({ startedAt: 45, endedAt: 60 });
  for (const [reads, legal] of [
    [[read(50, 2), read(61, 1)], true],
    [[read(44.5, 2)], true],
    [[read(50, 3)], false],
    [[read(61, 2)], false],
    [[read(40, 2)], false],
  ] as const) {
    const rules = rulesOf({ ...gone, reads: [...reads] }, truth({ 0: [1] }, { hot: 1 }));
    t.strictSame(rules, legal ? [] : ['reads'], JSON.stringify(reads));
  }
});

t.test('a request that needs no locked counter is not delayed by the lock', async (t) => {
  const lock = { names: ['left'], startedAt: 0, endedAt: 100, fault: 0 };
  const busy = (id: number, kind: Kind) => ({ ...operation(id, 'refused', undefined, kind), code: 'busy' });
  const one = history(operation(0, 'acknowledged', [1]), busy(1, 'bulk'));
  one.locks.push(lock);
  const is = truth({ 0: [1] }, { hot: 1 });
  t.strictSame(rulesOf(one, is), []);
  t.strictSame(rulesOf({ ...one, operations: [...one.operations, busy(2, 'amount')] }, is), ['unrelated']);
  const edge = { ...busy(3, 'edge'), code: 'out_of_range' };
  t.strictSame(
    rulesOf({ ...one, operations: [...one.operations, edge] }, is),
    [],
    'refused for another reason than the lock',
  );
  const slow = { ...operation(0, 'acknowledged', [1]), endedAt: 6000 };
  t.strictSame(rulesOf({ ...one, operations: [slow] }, is), ['unrelated'], 'acknowledged, but late');
  const late = { ...slow, id: 4, values: [2], again: true };
  const both = truth({ 0: [1], 4: [2] }, { hot: 2 });
  t.strictSame(
    rulesOf({ ...one, operations: [...one.operations, late] }, both),
    [],
    'late, but its client had disconnected',
  );
  t.strictSame(
    rulesOf({ ...one, operations: [busy(1, 'bulk')] }, truth({}, {})),
    ['unrelated'],
    'no request was acknowledged during the lock',
  );
});

t.test('after unknown operations were sent again, no outcome is unknown', async (t) => {
  const is = truth({ 0: [1] }, { hot: 1 });
  t.strictSame(rulesOf(history(operation(0, 'acknowledged', [1]), operation(1, 'refused')), is, true), []);
  t.strictSame(rulesOf(history(operation(0, 'unknown')), is, true), ['settled']);
});

t.test('a repeated request is answered as a replay if, and only if, it had been counted', async (t) => {
  const before = truth({ 0: [1] }, { hot: 1 });
  const replay = { ...operation(0, 'acknowledged', [1]), replayed: true };
  t.strictSame(checkReplays([replay, operation(1, 'acknowledged', [2])], before), []);
  t.match(checkReplays([operation(0, 'acknowledged', [2])], before), [{ rule: 'replays' }]);
  t.match(checkReplays([{ ...replay, id: 1 }], before), [{ rule: 'replays' }]);
});

t.test('an unexpected answer is a violation by itself', async (t) => {
  const strange = { ...operation(0, 'unknown'), unexpected: '500 internal_error' };
  t.match(check(history(strange), truth({}, {}), false), [
    { rule: 'unexpected', text: /500 internal_error/ },
  ]);
});

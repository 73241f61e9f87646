import t from 'tap';
import type { Outcome } from '../../src/concurrency/history.ts';
import { check, checkReplays } from '../../load-tests/fault-test/checks/checker.ts';
import { damageOf } from '../../load-tests/fault-test/checks/damage.ts';
import type { History, Truth } from '../../load-tests/fault-test/journal/history.ts';
import type { Kind, Operation } from '../../load-tests/fault-test/journal/operation.ts';

const never = Number.MAX_SAFE_INTEGER;

/** One after another: the first takes from 0 to 5, the second from 10 to 15, and so on. */
const operation = (id: number, outcome: Outcome, values?: number[], kind: Kind = 'single'): Operation => ({
  id,
  kind,
  startedAt: id * 10,
  endedAt: outcome === 'unknown' ? never : id * 10 + 5,
  outcome,
  fault: 0,
  ...(values ? { values } : {}),
});

const history = (...operations: Operation[]): History => ({ faults: ['none'], operations, reads: [] });

const truth = (counted: Record<number, number[]>, values: Record<string, number>): Truth => ({
  counted: new Map(Object.entries(counted).map(([id, kept]) => [Number(id), kept])),
  strangers: [],
  values: new Map(Object.entries(values)),
});

const rulesOf = (of: History, is: Truth, settled = false) => [
  ...new Set(check(of, is, settled).map(({ rule }) => rule)),
];

t.test('acknowledged and counted, refused and not, unknown and either: legal', async (t) => {
  const one = history(
    operation(0, 'acknowledged', [1]),
    operation(1, 'refused'),
    operation(2, 'unknown'),
    operation(3, 'unknown'),
    operation(4, 'acknowledged', [3, 1, 1], 'bulk'),
    operation(5, 'acknowledged', [-5], 'amount'),
  );
  const is = truth({ 0: [1], 2: [2], 4: [3, 1, 1], 5: [-5] }, { hot: 3, left: 1, right: 1, amounts: -5 });
  t.strictSame(check(one, is, false), []);
});

t.test('what was acknowledged and is not there is a lost increment', async (t) => {
  const one = history(operation(0, 'acknowledged', [1]), operation(1, 'acknowledged', [2]));
  const is = truth({ 0: [1] }, { hot: 1 });
  t.strictSame(rulesOf(one, is), ['acknowledged']);
  t.strictSame(damageOf(one, is), [{ lost: 1, doubled: 0 }]);
});

t.test('what was refused and is there breaks the promise of the refusal', async (t) => {
  t.strictSame(rulesOf(history(operation(0, 'refused')), truth({ 0: [1] }, { hot: 1 })), ['refused']);
});

t.test('a counter that is more than what was counted was counted twice', async (t) => {
  const one = history(operation(0, 'acknowledged', [1]), operation(1, 'acknowledged', [3]));
  const is = truth({ 0: [1], 1: [3] }, { hot: 3 });
  t.strictSame(rulesOf(one, is), ['sum', 'values', 'bound']);
  t.strictSame(damageOf(one, is), [{ lost: 0, doubled: 1 }]);
});

t.test('a counter that is less was overwritten', async (t) => {
  const one = history(operation(0, 'acknowledged', [1]), operation(1, 'acknowledged', [1]));
  t.strictSame(rulesOf(one, truth({ 0: [1], 1: [1] }, { hot: 1 })), ['sum', 'values', 'bound']);
});

t.test('one that began after another had ended wrote more', async (t) => {
  const one = history(operation(0, 'acknowledged', [2]), operation(1, 'acknowledged', [1]));
  t.strictSame(rulesOf(one, truth({ 0: [2], 1: [1] }, { hot: 2 })), ['values']);
});

t.test('an unknown one that was counted takes part with the value that is stored', async (t) => {
  const one = history(operation(0, 'unknown'), operation(1, 'acknowledged', [2]));
  t.strictSame(rulesOf(one, truth({ 0: [1], 1: [2] }, { hot: 2 })), []);
  t.strictSame(rulesOf(one, truth({ 0: [2], 1: [2] }, { hot: 2 })), ['values']);
});

t.test('the answer is what is stored, and what is stored was sent', async (t) => {
  const one = history(operation(0, 'acknowledged', [1]));
  t.strictSame(rulesOf(one, truth({ 0: [2] }, { hot: 1 })), ['answers', 'values']);
  t.strictSame(rulesOf(one, { ...truth({ 0: [1] }, { hot: 1 }), strangers: ['x'] }), ['strangers']);
});

t.test('without keys the value lies between what was acknowledged and what is possible', async (t) => {
  const one = history(
    operation(0, 'acknowledged', [1], 'unkeyed'),
    operation(1, 'unknown', undefined, 'unkeyed'),
    operation(2, 'refused', undefined, 'unkeyed'),
  );
  for (const value of [1, 2]) t.strictSame(rulesOf(one, truth({}, { unkeyed: value })), []);
  for (const value of [0, 3]) t.strictSame(rulesOf(one, truth({}, { unkeyed: value })), ['bound']);
  t.strictSame(damageOf(one, truth({}, { unkeyed: 0 })), [{ lost: 1, doubled: 0 }]);
  t.strictSame(damageOf(one, truth({}, { unkeyed: 4 })), [{ lost: 0, doubled: 2 }]);
});

t.test('a read sees everything that was acknowledged before it', async (t) => {
  const one = history(operation(0, 'acknowledged', [1]));
  const is = truth({ 0: [1] }, { hot: 1 });
  one.reads.push({ name: 'hot', startedAt: 6, endedAt: 7, value: 1 });
  t.strictSame(rulesOf(one, is), []);
  one.reads.push({ name: 'hot', startedAt: 6, endedAt: 7, value: 0 });
  t.strictSame(rulesOf(one, is), ['bound']);
});

t.test('once everything has been sent again, nothing is open and everything sent is counted', async (t) => {
  const is = truth({ 0: [1] }, { hot: 1 });
  t.strictSame(rulesOf(history(operation(0, 'acknowledged', [1]), operation(1, 'refused')), is, true), []);
  t.strictSame(rulesOf(history(operation(0, 'unknown')), is, true), ['settled']);
});

t.test('what is sent again is a replay if, and only if, it had been counted', async (t) => {
  const before = truth({ 0: [1] }, { hot: 1 });
  const replay = { ...operation(0, 'acknowledged', [1]), replayed: true };
  t.strictSame(checkReplays([replay, operation(1, 'acknowledged', [2])], before), []);
  t.match(checkReplays([operation(0, 'acknowledged', [2])], before), [{ rule: 'replays' }]);
  t.match(checkReplays([{ ...replay, id: 1 }], before), [{ rule: 'replays' }]);
});

t.test('an answer that nothing explains is a violation by itself', async (t) => {
  const strange = { ...operation(0, 'unknown'), unexpected: '500 internal_error' };
  t.match(check(history(strange), truth({}, {}), false), [
    { rule: 'unexpected', text: /500 internal_error/ },
  ]);
});

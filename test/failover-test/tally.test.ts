import t from 'tap';
import { isAsExpected } from '../../load-tests/failover-test/control.ts';
import { faults, roundOf } from '../../load-tests/failover-test/faults/index.ts';
import { holds, type Session } from '../../load-tests/failover-test/session.ts';
import { addRound, inOrder, sumOf, type Tally, tallyTable } from '../../load-tests/failover-test/tally.ts';
import { noHistory } from '../../load-tests/fault-test/journal/history.ts';
import { begun, type Kind, type Operation } from '../../load-tests/fault-test/journal/operation.ts';
import { spread } from '../../load-tests/shared/spread.ts';
import { seeded } from '../../load-tests/fault-test/world/random.ts';

const [first, second] = [faults[0]?.name ?? '', faults[1]?.name ?? ''];

const operation = (id: number, kind: Kind, fault: number, outcome: Operation['outcome']): Operation => ({
  ...begun({ id, kind }, 0, fault),
  outcome,
});

/** A round in which the second fault of the registry comes first. */
function round(gapsMs: number[], missed: [number, string][] = []) {
  const settledLate = operation(3, 'single', 1, 'acknowledged');
  const operations = [
    operation(0, 'single', 0, 'acknowledged'),
    operation(1, 'bulk', 1, 'acknowledged'),
    operation(2, 'single', 1, 'refused'),
    settledLate,
    operation(4, 'unkeyed', 2, 'unknown'),
    { ...operation(5, 'put', 2, 'refused'), about: '7', code: 'precondition_failed' },
  ];
  return {
    history: { ...noHistory(), faults: ['none', second, first], operations },
    gapsMs,
    servedMs: new Map([[1, (gapsMs[1] ?? 0) / 10]]),
    missed: new Map(missed),
    damage: [
      { lost: 0, doubled: 0 },
      { lost: 2, doubled: 0 },
      { lost: 0, doubled: 1 },
    ],
    resolved: [settledLate],
  };
}

t.test('the results of a fault are summed over the rounds', async (t) => {
  const tally: Tally = new Map();
  addRound(tally, round([5, 900, 70]));
  addRound(tally, round([6, 1100, 80]));
  t.strictSame(tally.get(second), {
    times: 2,
    gapsMs: [900, 1100],
    servedMs: [90, 110],
    acknowledged: 8,
    refused: 2,
    unknown: 2,
    resolved: 2,
    lost: 4,
    doubled: 0,
  });
  t.match(
    tally.get(first),
    { times: 2, unknown: 2, refused: 0, doubled: 2 },
    'a deserved refusal is not counted as refused',
  );
  t.match(tally.get('none'), { times: 0, acknowledged: 2 });
  t.match(sumOf(tally), { times: 4, acknowledged: 10, lost: 4, doubled: 2 });
});

t.test('of a missed fault, only the damage is counted', async (t) => {
  const tally: Tally = new Map();
  addRound(tally, round([5, 900, 70], [[1, 'no such statement came']]));
  const { times, gapsMs, servedMs, lost } = tally.get(second) ?? {};
  t.strictSame({ times, gapsMs, servedMs, lost }, { times: 0, gapsMs: [], servedMs: [], lost: 2 });
});

t.test(
  'the table has a line for each fault, in the order of the registry, and one for the sums',
  async (t) => {
    const tally: Tally = new Map();
    addRound(tally, round([5, 900, 70]));
    addRound(tally, round([6, 1100, 80]));
    addRound(tally, round([7, 1000, 90]));
    t.strictSame(
      inOrder(tally).map(([name]) => name),
      ['none', first, second],
    );
    const lines = tallyTable(tally).split('\n');
    t.match(
      lines[0],
      /^fault +times +gap ms +max +served ms +max +acknowledged +refused +unknown +resolved +lost +doubled$/,
    );
    t.match(lines.at(-2)?.replaceAll(/ {2,}/g, '|'), `${second}|3|1 000|1 100|100|110|12|3|3|3|6|0`);
    t.match(lines.at(-1), /^all +6 +/);
    t.match(
      lines.at(-3)?.replaceAll(/ {2,}/g, '|'),
      `${first}|3|80|90|0|0|3|0|0|3`,
      'the served columns are empty where no other node became the leader',
    );
  },
);

t.test('the median of an even number of figures is the higher of the two in the middle', async (t) => {
  t.equal(spread([]).median, 0);
  t.equal(spread([10, 9, 100]).median, 10);
  t.equal(spread([1, 2, 3, 4]).median, 3);
});

const names = (seed: number) => roundOf(seeded(seed)).map(({ name }) => name);

t.test('a round has each fault once, in an order determined by the seed', async (t) => {
  t.strictSame(names(1), names(1));
  t.notSame(names(1), names(2));
  t.strictSame(names(1).toSorted(), faults.map(({ name }) => name).toSorted());
  t.equal(new Set(names(1)).size, faults.length, 'every name is unique');
});

t.test('a session holds only if nothing was lost, doubled, answered wrongly or left out', async (t) => {
  const good: Session = { tally: new Map(), violations: [], missed: [], elapsedMs: 1 };
  t.ok(holds(good));
  const tally: Tally = new Map();
  addRound(tally, round([1, 1, 1]));
  t.notOk(holds({ ...good, tally }));
  t.notOk(holds({ ...good, violations: [{ rule: 'reads', text: 'hot' }] }));
  t.notOk(holds({ ...good, missed: ['a fault: why'] }));
  t.notOk(holds({ ...good, failure: 'the cluster did not recover' }));
});

t.test(
  'a control is as expected when asynchronous replication loses something and strict loses nothing',
  async (t) => {
    const control = { lost: 3, doubled: 0, broken: 2 };
    const none = { lost: 0, doubled: 0, broken: 0 };
    t.ok(isAsExpected({ replication: 'asynchronous', ...control }));
    t.notOk(isAsExpected({ replication: 'asynchronous', ...none }));
    t.ok(isAsExpected({ replication: 'strict synchronous', ...none }));
    t.notOk(isAsExpected({ replication: 'strict synchronous', ...control }));
    t.notOk(isAsExpected({ replication: 'strict synchronous', ...none, broken: 1 }));
  },
);

import t from 'tap';
import type { Outcome } from '../../src/concurrency/history.ts';
import { noHistory } from '../../load-tests/fault-test/journal/history.ts';
import { begun, type Operation } from '../../load-tests/fault-test/journal/operation.ts';
import { type FaultRow, faultRows, report, totalOf } from '../../load-tests/fault-test/report.ts';
import type { RunResult } from '../../load-tests/fault-test/run.ts';

const operation = (id: number, fault: number, outcome: Outcome): Operation => ({
  ...begun({ id, kind: 'single' }, id, fault),
  endedAt: id + 0.5,
  outcome,
});

const settled = { applied: 2, 'not applied': 1, unknown: 3 };

/** Two faults, of which the second one, whose name contains a colon, was injected once and missed once. */
const result: RunResult = {
  history: {
    ...noHistory(),
    faults: ['none', 'first', 'second: half', 'second: half'],
    operations: [
      operation(0, 0, 'acknowledged'),
      operation(1, 1, 'acknowledged'),
      operation(2, 1, 'refused'),
      operation(3, 2, 'unknown'),
      ...Array.from({ length: 1200 }, (_, i) => operation(4 + i, 3, 'acknowledged')),
    ],
    locks: [{ names: ['left'], startedAt: 0, endedAt: 5, fault: 1 }],
  },
  figures: [
    { settled, longestGapMs: 10.4 },
    { settled, longestGapMs: 20.6 },
    { settled, longestGapMs: 1234.5 },
    { settled, longestGapMs: 30 },
  ],
  damage: [
    { lost: 0, doubled: 0 },
    { lost: 1, doubled: 0 },
    { lost: 0, doubled: 2 },
    { lost: 3, doubled: 0 },
  ],
  missed: [{ fault: 'second: half', reason: 'the backend had ended' }],
  resolved: [],
  violations: [],
  elapsedMs: 1,
};

/** The cells of the table, numbers as numbers. */
const cellsOf = (text: string): (string | number)[][] =>
  text
    .split('\n')
    .filter((_, i) => i !== 1)
    .map((line) =>
      line.split(/ {2,}/).map((cell) => (/^[\d ]+$/.test(cell) ? Number(cell.replaceAll(' ', '')) : cell)),
    );

t.test('the rows for a program are those of the table, and add up to its last row', async (t) => {
  const rows = faultRows(result);
  const total = totalOf(rows);
  const [, ...cells] = cellsOf(report(result));
  t.strictSame(
    cells,
    [...rows, total].map((row) => Object.values(row) as (string | number)[]),
  );
  for (const name of ['times', 'acknowledged', 'refused', 'unknown', 'lost', 'doubled', 'applied'] as const)
    t.equal(
      total[name],
      rows.reduce((sum, row) => sum + row[name], 0),
      name,
    );
  t.match(total, {
    acknowledged: 1202,
    refused: 1,
    unknown: 1,
    lost: 4,
    doubled: 2,
    applied: 8,
    gapMs: 1235,
  });
});

t.test('a missed fault is not counted, even if its name contains a colon', async (t) => {
  const times = Object.fromEntries(faultRows(result).map((row: FaultRow) => [row.fault, row.times]));
  t.strictSame(times, { none: 0, first: 1, 'second: half': 1 });
});

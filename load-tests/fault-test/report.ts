import { table } from '../../src/command-line/table.ts';
import { neighboursOf } from './checks/neighbours.ts';
import { addOutcomes, noOutcomes } from './checks/outcomes.ts';
import { rules, type Violation } from './checks/violation.ts';
import type { RunResult } from './run.ts';

const noTotals = {
  times: 0,
  ...noOutcomes(),
  applied: 0,
  'not applied': 0,
  'no answer': 0,
  'gap ms': 0,
  /** Requests that needed no locked counter, while there was one. */
  'neighbours refused': 0,
  'slowest neighbour ms': 0,
};

type FaultTotals = typeof noTotals;

/** A line for each kind of fault, with what came of it until the next one began, and one for all of them. */
export function report(result: RunResult): string {
  const rows = rowsByFault(result);
  const total = { ...noTotals };
  for (const row of rows.values()) {
    for (const name of Object.keys(row) as (keyof FaultTotals)[]) {
      total[name] = name.endsWith(' ms') ? Math.max(total[name], row[name]) : total[name] + row[name];
    }
  }
  const lines = [...rows, ['all', total] as const].map(([name, row]) => [
    name,
    ...Object.values<number>(row),
  ]);
  return table(['fault', ...Object.keys(noTotals)], lines);
}

function rowsByFault(result: RunResult): Map<string, FaultTotals> {
  const { history, figures, missed } = result;
  const rows = new Map<string, FaultTotals>();
  const byNumber = history.faults.map((name, i) => {
    const row = rows.get(name) ?? { ...noTotals };
    rows.set(name, row);
    const { settled, longestGapMs = 0 } = figures[i] ?? {};
    // The first one is the time before any fault.
    if (i > 0) row.times += 1;
    row.applied += settled?.applied ?? 0;
    row['not applied'] += settled?.['not applied'] ?? 0;
    row['no answer'] += settled?.unknown ?? 0;
    row['gap ms'] = Math.max(row['gap ms'], longestGapMs);
    return row;
  });
  for (const text of missed) {
    const row = rows.get(text.split(':')[0] ?? '');
    if (row) row.times -= 1;
  }
  for (const lock of history.locks) {
    const row = byNumber[lock.fault];
    if (!row) continue;
    const { refused, slowestMs } = neighboursOf(history, lock);
    row['neighbours refused'] += refused;
    row['slowest neighbour ms'] = Math.max(row['slowest neighbour ms'], slowestMs);
  }
  addOutcomes(byNumber, result);
  return rows;
}

/** A line for each rule that was broken. */
export const violationsText = (violations: readonly Violation[]): string =>
  violations.map(({ rule, text }) => `BROKEN: ${rules[rule]}: ${text}`).join('\n');

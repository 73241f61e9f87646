import { table } from '../../src/command-line/table.ts';
import { addOutcomes, noOutcomes, type Outcomes } from './checks/outcomes.ts';
import { unrelatedRequestsOf } from './checks/unrelated-requests.ts';
import { rules, type Violation } from './checks/violation.ts';
import type { RunResult } from './run.ts';

/** The figures of one kind of fault: from each of its injections to the next fault. */
export interface FaultRow extends Outcomes {
  fault: string;
  /** How often it was injected. */
  times: number;
  /** Lost commits, by the outcome that the service determined. */
  applied: number;
  notApplied: number;
  undetermined: number;
  /** The longest time without an acknowledgement, in milliseconds. */
  gapMs: number;
  /** Requests that needed no locked counter: how many were refused, and the longest time to an answer, in milliseconds. */
  unrelatedRefused: number;
  unrelatedMs: number;
}

/** The name of the row that contains the totals. */
const TOTAL = 'all';

const headings: Record<keyof FaultRow, string> = {
  fault: 'fault',
  times: 'times',
  acknowledged: 'acknowledged',
  refused: 'refused',
  unknown: 'unknown',
  resolved: 'resolved',
  lost: 'lost',
  doubled: 'doubled',
  applied: 'applied',
  notApplied: 'not applied',
  undetermined: 'undetermined',
  gapMs: 'gap ms',
  unrelatedRefused: 'unrelated refused',
  unrelatedMs: 'unrelated max ms',
};

const columns = Object.keys(headings) as (keyof FaultRow)[];

/** The table of a run: one row for each kind of fault, and one for all of them. */
export function report(result: RunResult): string {
  const rows = faultRows(result);
  return table(
    columns.map((column) => headings[column]),
    [...rows, totalOf(rows)].map((row) => columns.map((column) => row[column])),
  );
}

/** The rows of the table, without the totals. */
export function faultRows(result: RunResult): FaultRow[] {
  const { history, figures, missed } = result;
  const rows = new Map<string, FaultRow>();
  const byNumber = history.faults.map((name, i) => {
    const row = rows.get(name) ?? emptyRow(name);
    rows.set(name, row);
    const { settled, longestGapMs = 0 } = figures[i] ?? {};
    // Number 0 is the time before the first fault.
    if (i > 0) row.times += 1;
    row.applied += settled?.applied ?? 0;
    row.notApplied += settled?.['not applied'] ?? 0;
    row.undetermined += settled?.unknown ?? 0;
    row.gapMs = Math.max(row.gapMs, Math.round(longestGapMs));
    return row;
  });
  for (const { fault } of missed) {
    const row = rows.get(fault);
    if (row) row.times -= 1;
  }
  for (const lock of history.locks) {
    const row = byNumber[lock.fault];
    if (!row) continue;
    const { refused, slowestMs } = unrelatedRequestsOf(history, lock);
    row.unrelatedRefused += refused;
    row.unrelatedMs = Math.max(row.unrelatedMs, Math.round(slowestMs));
  }
  addOutcomes(byNumber, result);
  return [...rows.values()];
}

/** Counts are added up; of times, the longest one remains. */
export function totalOf(rows: readonly FaultRow[]): FaultRow {
  const total = emptyRow(TOTAL);
  for (const { fault: _, ...figures } of rows) {
    for (const name of Object.keys(figures) as (keyof typeof figures)[]) {
      total[name] = name.endsWith('Ms') ? Math.max(total[name], figures[name]) : total[name] + figures[name];
    }
  }
  return total;
}

const emptyRow = (fault: string): FaultRow => ({
  fault,
  times: 0,
  ...noOutcomes(),
  applied: 0,
  notApplied: 0,
  undetermined: 0,
  gapMs: 0,
  unrelatedRefused: 0,
  unrelatedMs: 0,
});

/** One line for each violation. */
export const violationsText = (violations: readonly Violation[]): string =>
  violations.map(({ rule, text }) => `BROKEN: ${rules[rule]}: ${text}`).join('\n');

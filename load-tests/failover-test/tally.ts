import { table, thousands } from '../../src/command-line/table.ts';
import { addOutcomes, noOutcomes, type Outcomes } from '../fault-test/checks/outcomes.ts';
import { spread } from '../shared/spread.ts';
import { faults } from './faults/index.ts';
import type { Round } from './round.ts';

/** The results of a fault, up to the beginning of the next one, over all rounds. */
export interface FaultTotals extends Outcomes {
  /** How often the fault was injected. */
  times: number;
  /** For each occurrence, the longest time without an acknowledgement, in milliseconds. */
  gapsMs: number[];
  /** For each failover, the time from the new primary's first commit to the next acknowledgement, in milliseconds. */
  servedMs: number[];
}

/** The results by the names of the faults. */
export type Tally = Map<string, FaultTotals>;

type Counted = Pick<Round, 'history' | 'gapsMs' | 'servedMs' | 'missed' | 'damage' | 'resolved'>;

/** The name for the time before a round's first fault. */
const NONE = 'none';

/** Adds a round's results. For a missed fault, only the increments during its time are added. */
export function addRound(tally: Tally, round: Counted): void {
  const { history, gapsMs, servedMs, missed } = round;
  const totals = history.faults.map((name) => {
    const known = tally.get(name) ?? noTotals();
    tally.set(name, known);
    return known;
  });
  for (const [i, one] of totals.entries()) {
    if (missed.has(i)) continue;
    if (i > 0) one.times += 1;
    one.gapsMs.push(gapsMs[i] ?? 0);
    const served = servedMs.get(i);
    if (served !== undefined) one.servedMs.push(served);
  }
  addOutcomes(totals, round);
}

/** In the order of the registry, not in the order of the run. */
export function inOrder(tally: Tally): [string, FaultTotals][] {
  const names = [
    NONE,
    ...faults.flatMap(({ name, sequel }) => (sequel === undefined ? [name] : [name, sequel])),
  ];
  const place = (name: string) => (names.includes(name) ? names.indexOf(name) : names.length);
  return [...tally].toSorted(([a], [b]) => place(a) - place(b));
}

/** The sums over all faults. */
export function sumOf(tally: Tally): FaultTotals {
  const sum = noTotals();
  for (const { gapsMs, servedMs, ...counts } of tally.values()) {
    sum.gapsMs.push(...gapsMs);
    sum.servedMs.push(...servedMs);
    for (const name of Object.keys(counts) as (keyof typeof counts)[]) sum[name] += counts[name];
  }
  return sum;
}

const COUNTS = ['acknowledged', 'refused', 'unknown', 'resolved', 'lost', 'doubled'] as const;

const HEADINGS = ['times', 'gap ms', 'max', 'served ms', 'max', ...COUNTS];

/** One line per fault, and one for the sums. */
export function tallyTable(tally: Tally): string {
  const rows = [...inOrder(tally), ['all', sumOf(tally)] as const];
  const served = columns(rows.map(([, { servedMs }]) => servedMs));
  const lines = rows.map(([name, totals], i) => {
    const { median, max } = spread(totals.gapsMs);
    return [name, totals.times, median, max, ...(served[i] ?? []), ...COUNTS.map((count) => totals[count])];
  });
  return table(['fault', ...HEADINGS], lines);
}

/** The median and the maximum, right-aligned; empty where there are no figures. */
function columns(values: readonly number[][]): [string, string][] {
  const texts = values.map((all) =>
    all.length > 0 ? [spread(all).median, spread(all).max].map(thousands) : ['', ''],
  );
  const width = Math.max(...texts.flat().map(({ length }) => length));
  const [left, right] = [Math.max(width, 'served ms'.length), width];
  return texts.map(([middle = '', highest = '']) => [middle.padStart(left), highest.padStart(right)]);
}

const noTotals = (): FaultTotals => ({ ...noOutcomes(), times: 0, gapsMs: [], servedMs: [] });

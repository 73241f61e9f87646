import { table, thousands } from '../../src/command-line/table.ts';
import { incrementsOf, isDeserved } from '../fault-test/journal/operation.ts';
import { faults } from './faults/index.ts';
import type { Round } from './round.ts';

/** What came of a fault until the next one began, in all rounds. */
export interface FaultTotals {
  /** How often it was made. */
  times: number;
  /** For each time, the longest time without an acknowledgement, in milliseconds. */
  gapsMs: number[];
  /** For each time that another node led afterwards: from its first commit to the next acknowledgement, in milliseconds. */
  servedMs: number[];
  /** Increments, as are lost and doubled. */
  acknowledged: number;
  /** Requests, as are unknown and resolved. */
  refused: number;
  unknown: number;
  resolved: number;
  lost: number;
  doubled: number;
}

/** By the names of the faults. */
export type Tally = Map<string, FaultTotals>;

type Counted = Pick<Round, 'history' | 'gapsMs' | 'servedMs' | 'missed' | 'damage' | 'resolved'>;

/** What the time before the first fault of a round is called. */
const NONE = 'none';

/** Adds what a round came to; missed faults count for nothing but what was lost and told meanwhile. */
export function addRound(
  tally: Tally,
  { history, gapsMs, servedMs, missed, damage, resolved }: Counted,
): void {
  const totals = history.faults.map((name) => {
    const known = tally.get(name) ?? noTotals();
    tally.set(name, known);
    return known;
  });
  for (const [i, one] of totals.entries()) {
    one.lost += damage[i]?.lost ?? 0;
    one.doubled += damage[i]?.doubled ?? 0;
    if (missed.has(i)) continue;
    if (i > 0) one.times += 1;
    one.gapsMs.push(gapsMs[i] ?? 0);
    const served = servedMs.get(i);
    if (served !== undefined) one.servedMs.push(served);
  }
  const settledLate = new Set(resolved);
  for (const operation of history.operations) {
    const one = totals[operation.fault];
    if (!one || isDeserved(operation)) continue;
    if (settledLate.has(operation)) {
      one.unknown += 1;
      one.resolved += 1;
    }
    one[operation.outcome] += operation.outcome === 'acknowledged' ? incrementsOf(operation).length : 1;
  }
}

/** In the order of the registry, whichever order they were made in. */
export function inOrder(tally: Tally): [string, FaultTotals][] {
  const names = [
    NONE,
    ...faults.flatMap(({ name, sequel }) => (sequel === undefined ? [name] : [name, sequel])),
  ];
  const place = (name: string) => (names.includes(name) ? names.indexOf(name) : names.length);
  return [...tally].toSorted(([a], [b]) => place(a) - place(b));
}

/** Of all faults together. */
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

/** A line for each fault, and one for all. */
export function tallyTable(tally: Tally): string {
  const rows = [...inOrder(tally), ['all', sumOf(tally)] as const];
  const served = columns(rows.map(([, { servedMs }]) => servedMs));
  const lines = rows.map(([name, totals], i) => [
    name,
    totals.times,
    median(totals.gapsMs),
    Math.max(0, ...totals.gapsMs),
    ...(served[i] ?? []),
    ...COUNTS.map((count) => totals[count]),
  ]);
  return table(['fault', ...HEADINGS], lines);
}

/** The median and the highest of each; empty where there are none, so that they are texts, to the right as numbers. */
function columns(values: readonly number[][]): [string, string][] {
  const texts = values.map((all) =>
    all.length > 0 ? [median(all), Math.max(...all)].map(thousands) : ['', ''],
  );
  const width = Math.max(...texts.flat().map(({ length }) => length));
  const [left, right] = [Math.max(width, 'served ms'.length), width];
  return texts.map(([middle = '', highest = '']) => [middle.padStart(left), highest.padStart(right)]);
}

/** Of an even number of values, the higher one of the middle; of none, 0. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

const noTotals = (): FaultTotals => ({
  times: 0,
  gapsMs: [],
  servedMs: [],
  acknowledged: 0,
  refused: 0,
  unknown: 0,
  resolved: 0,
  lost: 0,
  doubled: 0,
});

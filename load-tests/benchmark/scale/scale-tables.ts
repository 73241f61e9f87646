import { table } from '../../../src/command-line/table.ts';
import { spread } from '../../shared/spread.ts';
import type { ScaleGroup, ScaleResult } from './scale-benchmark.ts';
import type { ScaleTurn } from './turn.ts';

/** One table for each varied parameter. */
export const scaleTables = ({ groups, keys }: ScaleResult): string =>
  [
    `\nhow cost grows; commits are durable; replicas, their load and PostgreSQL share the processors; medians of ${groups[0]?.situations[0]?.rounds.length ?? 0} rounds; µs: processor time for an increment`,
    ...groups.map(groupTable),
    keys.count > 0
      ? `a key takes ${Math.round(keys.bytes / keys.count)} bytes with its indexes (${keys.count} keys)`
      : '',
  ].join('\n\n');

function groupTable({ title, situations }: ScaleGroup): string {
  const [first] = situations;
  const rows = situations.map(({ name, rounds }) => {
    const figure = (of: (turn: ScaleTurn) => number) => spread(rounds.map(of)).median;
    const { median, min, max } = spread(rounds.map(({ perSecond }) => perSecond));
    // A turn without any answer has no ratio.
    const ratios = rounds
      .map(({ perSecond }, i) => perSecond / (first?.rounds[i]?.perSecond ?? Number.NaN))
      .filter(Number.isFinite);
    return [
      name,
      median,
      min,
      max,
      spread(ratios).median.toFixed(2),
      figure(({ p50Ms }) => p50Ms).toFixed(1),
      figure(({ p99Ms }) => p99Ms).toFixed(1),
      figure(({ commitsPerSecond }) => commitsPerSecond),
      digits(figure(({ incrementsPerCommit }) => incrementsPerCommit)),
      digits(figure(({ walBytesPerIncrement }) => walBytesPerIncrement)),
      figure(({ walBytesPerSecond }) => walBytesPerSecond / 1000),
      digits(figure(({ replicaUs }) => replicaUs)),
      digits(figure(({ serverUs }) => serverUs)),
    ];
  });
  return table([title, ...HEADINGS], rows);
}

const HEADINGS = [
  'increments /s',
  'lowest',
  'highest',
  '÷ first',
  'p50 ms',
  'p99 ms',
  'commits /s',
  'per commit',
  'WAL B each',
  'WAL kB/s',
  'replica µs',
  'PostgreSQL µs',
];

const digits = (value: number): string =>
  Number.isNaN(value) ? 'unknown' : value.toFixed(value < 10 ? 1 : 0);

import { table } from '../../src/command-line/table.ts';
import type { Measurement } from './measurement.ts';

/** A column: its heading, and the value for a row. */
export type Column = readonly [heading: string, of: (one: Measurement) => string | number];

const endpointColumns: Column[] = [
  ['endpoint', ({ name }) => name],
  ['calls', ({ calls }) => calls],
  ['at once', ({ connections }) => connections],
  ['acknowledged', ({ acknowledged }) => acknowledged],
  ['likes', ({ likes }) => likes],
  ['lost', ({ lost }) => lost],
  ['conflicts', ({ conflicts }) => conflicts],
  ['increments/s', ({ incrementsPerSecond }) => incrementsPerSecond],
  ['p50 ms', ({ latencyMs }) => latencyMs.p50],
  ['p99 ms', ({ latencyMs }) => latencyMs.p99],
  ['verdict', ({ verdict }) => verdict],
];

const tableOf = (columns: readonly Column[], lines: readonly Measurement[]): string =>
  table(
    columns.map(([heading]) => heading),
    lines.map((line) => columns.map(([, of]) => of(line))),
  );

export const endpointTable = (measured: readonly Measurement[]): string => tableOf(endpointColumns, measured);

/** A row per strategy: increments per second by number of callers, and the verdict with the most callers. */
export function strategyTable(measured: readonly Measurement[]): string {
  const callers = [...new Set(measured.map(({ connections }) => connections))];
  const speedAt = (name: string, count: number) =>
    measured.find((one) => one.name === name && one.connections === count)?.incrementsPerSecond ?? 0;
  const columns: Column[] = [
    ['strategy', ({ name }) => name],
    ...callers.map((count): Column => [`${count} /s`, ({ name }) => speedAt(name, count)]),
    ['acknowledged', ({ acknowledged }) => acknowledged],
    ['likes', ({ likes }) => likes],
    ['lost', ({ lost }) => lost],
    ['p99 ms', ({ latencyMs }) => latencyMs.p99],
    ['verdict', ({ verdict }) => verdict],
  ];
  return tableOf(
    columns,
    measured.filter(({ connections }) => connections === callers.at(-1)),
  );
}

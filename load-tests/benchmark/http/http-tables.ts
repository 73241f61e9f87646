import { table, thousands } from '../../../src/command-line/table.ts';
import { type Spread, spread } from '../../shared/spread.ts';
import { bulksTable } from './bulks.ts';
import type { HttpResult } from './http-benchmark.ts';
import { find, over } from './http-ratios.ts';
import type { Percentiles } from './load.ts';
import { CALM, OVERLOAD_CONNECTIONS, OVERLOAD, type OverloadRound, SHORT_QUEUE } from './overload.ts';
import { httpSubjects } from './subjects.ts';
import type { Turn } from './workbench.ts';

export const httpTables = (result: HttpResult, connections: readonly number[]): string =>
  [
    '\nover HTTP, c requests at the same time; commits are durable; medians, with the lowest and the highest',
    throughput(result, connections),
    costs(result, connections),
    bulksTable(result.bulks),
    latency(result.overload),
    overloaded(result.overload),
  ].join('\n\n');

function throughput({ rounds }: HttpResult, connections: readonly number[]): string {
  const rows = Object.values(httpSubjects).map((subject) => [
    subject.name,
    ...connections.map((count) =>
      formatted(over(rounds, (turns) => find(turns, subject, count)?.seen.perSecond ?? 0)),
    ),
  ]);
  return table(['requests a second', ...connections.map((count) => `c = ${count}`)], rows);
}

/** Figures that do not depend on the load of the machine. */
function costs({ rounds }: HttpResult, connections: readonly number[]): string {
  const rows = Object.values(httpSubjects).flatMap((subject) =>
    connections.map((count) => {
      const figure = (one: (turn: Turn) => number | undefined) =>
        over(rounds, (turns) => {
          const turn = find(turns, subject, count);
          return (turn && one(turn)) ?? Number.NaN;
        }).median;
      const nothing = subject.counters.length === 0;
      return [
        subject.name,
        count,
        figure(({ serviceUs }) => serviceUs).toFixed(0),
        nothing ? '' : rounded(figure(({ commits }) => 1 / (commits ?? Number.NaN))),
        nothing ? '' : rounded(figure(({ walBytes }) => walBytes)),
        figure(({ seen }) => seen.cpuUs).toFixed(0),
      ];
    }),
  );
  const headings = ['cost', 'c', 'service CPU µs', 'increments per commit', 'WAL bytes', 'generator CPU µs'];
  return table(headings, rows);
}

const rounded = (value: number): string =>
  Number.isNaN(value) ? 'unknown' : value.toFixed(value < 10 ? 1 : 0);

function latency(overload: readonly OverloadRound[]): string {
  const rows = [
    ['answer', ...times(overload, ({ calm }) => calm.seen.served)],
    ['of that, lag of the generator', ...times(overload, ({ calm }) => calm.seen.lag)],
  ];
  const heading = `ms from the intended start, at ${CALM} of the peak`;
  return table([heading, 'p50', 'p90', 'p99', 'p99.9', 'max'], rows);
}

const times = (overload: readonly OverloadRound[], of: (round: OverloadRound) => Percentiles): string[] =>
  (['p50', 'p90', 'p99', 'p999', 'max'] as const).map((share) =>
    spread(overload.map((round) => of(round)[share])).median.toFixed(1),
  );

function overloaded(overload: readonly OverloadRound[]): string {
  const row = (name: string, of: (round: OverloadRound) => [loaded: Turn, peak: Turn]) => {
    const figure = (one: (seen: Turn['seen'], peak: Turn['seen']) => number) =>
      spread(overload.map((round) => one(of(round)[0].seen, of(round)[1].seen))).median;
    const share = (part: (seen: Turn['seen']) => number) =>
      `${(100 * figure((seen) => part(seen) / Math.max(1, seen.arrived))).toFixed(0)} %`;
    return [
      name,
      figure((_seen, peak) => peak.perSecond),
      figure(({ perSecond }) => perSecond),
      share(({ answers }) => answers[200] ?? 0),
      share(({ answers }) => answers[503] ?? 0),
      share(({ dropped }) => dropped),
      figure(({ served }) => served.p99).toFixed(0),
      figure(({ refused }) => refused.p50).toFixed(1),
      figure(({ refused }) => refused.p99).toFixed(1),
    ];
  };
  const headings = [
    `${OVERLOAD} × the peak, ${OVERLOAD_CONNECTIONS} connections`,
    'peak /s',
    'served /s',
    'served',
    'refused',
    'found no connection',
    'served p99 ms',
    'refused p50 ms',
    'p99 ms',
  ];
  return table(headings, [
    row('the default queue, 4,096', ({ tripled, peak }) => [tripled, peak]),
    row(`a queue of ${SHORT_QUEUE}`, ({ refusing, refusingPeak }) => [refusing, refusingPeak]),
  ]);
}

const formatted = ({ median, min, max }: Spread): string =>
  `${thousands(median)} (${thousands(min)} to ${thousands(max)})`;

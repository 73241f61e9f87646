import { progress } from '../../../src/command-line/progress.ts';
import { table } from '../../../src/command-line/table.ts';
import { withOwnDatabase } from '../../shared/own-database.ts';
import type { Ratio } from '../figures/ratio.ts';
import { spread } from '../../shared/spread.ts';
import { httpSubjects } from '../http/subjects.ts';
import { type Turn, Workbench } from '../http/workbench.ts';
import { RunningRace } from './running-race.ts';

/** Increments alone, and beside a race in the same process. */
export interface DemosRound {
  alone: Turn;
  beside: Turn;
  /** The race's increments per second. */
  racedPerSecond: number;
}

export interface DemosResult {
  rounds: DemosRound[];
  ratios: Ratio[];
}

interface DemosOptions {
  rounds: number;
  sliceMs: number;
  signal: AbortSignal;
}

/** Connections that the database server allows: the service's and the benchmark's. */
const DATABASE_CONNECTIONS = 40;

/** An open loop far below the capacity of the service, so that waiting is caused by the race. */
const ARRIVALS = { perSecond: 200, whenBusy: 'wait' } as const;
const CONNECTIONS = 64;

/** The number of slices per turn: high percentiles need many requests. */
const SLICES = 10;

/** Measures what a race costs the increments beside it. The first round is a warm-up. */
export const demosBenchmark = ({ rounds, sliceMs, signal }: DemosOptions): Promise<DemosResult> =>
  withOwnDatabase(DATABASE_CONNECTIONS, async (databaseUrl) => {
    const bench = await Workbench.open(databaseUrl);
    try {
      const measured: DemosRound[] = [];
      for (let round = 0; round <= rounds; round += 1) {
        signal.throwIfAborted();
        progress('beside a race', round, rounds + 1);
        const one = await demosRound(bench, sliceMs * SLICES);
        if (round > 0) measured.push(one);
      }
      return { rounds: measured, ratios: ratiosOf(measured) };
    } finally {
      await bench.close();
    }
  });

async function demosRound(bench: Workbench, ms: number): Promise<DemosRound> {
  const load = { connections: CONNECTIONS, ms, arrivals: ARRIVALS };
  const alone = await bench.turn(httpSubjects.hot, load);
  const race = await RunningRace.start(bench.url);
  const startedAt = performance.now();
  const before = race.increments;
  const beside = await bench.turn(httpSubjects.hot, load);
  const racedPerSecond = ((race.increments - before) / (performance.now() - startedAt)) * 1000;
  await race.stop();
  return { alone, beside, racedPerSecond };
}

function ratiosOf(rounds: readonly DemosRound[]): Ratio[] {
  const slower = (at: 'p50' | 'p99') =>
    spread(rounds.map(({ alone, beside }) => beside.seen.served[at] / alone.seen.served[at]));
  return [
    { name: 'an increment beside a race ÷ alone, p50', spread: slower('p50') },
    { name: 'an increment beside a race ÷ alone, p99', spread: slower('p99') },
  ];
}

export function demosTable({ rounds }: DemosResult): string {
  const median = (of: (round: DemosRound) => number) =>
    String(Math.round(spread(rounds.map(of)).median * 10) / 10);
  const times = (which: 'alone' | 'beside') =>
    (['p50', 'p99', 'max'] as const).map((at) => median((round) => round[which].seen.served[at]));
  return table(
    [`increments, ${ARRIVALS.perSecond} a second`, 'p50 ms', 'p99 ms', 'max ms', 'race /s'],
    [
      ['alone', ...times('alone'), ''],
      ['beside a race', ...times('beside'), median(({ racedPerSecond }) => racedPerSecond)],
    ],
  );
}

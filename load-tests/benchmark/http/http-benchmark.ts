import { progress } from '../../../src/command-line/progress.ts';
import { withOwnDatabase } from '../../shared/own-database.ts';
import type { Ratio } from '../figures/ratio.ts';
import { httpRatios } from './http-ratios.ts';
import { bulks } from './bulks.ts';
import { type OverloadRound, overload } from './overload.ts';
import { httpSubjects } from './subjects.ts';
import { type Turn, Workbench } from './workbench.ts';

export interface HttpOptions {
  rounds: number;
  sliceMs: number;
  /** Requests under way at the same time, one after another. */
  connections: number[];
  signal: AbortSignal;
}

export interface HttpResult {
  /** Each subject's turns at each number of connections, round by round. */
  rounds: Turn[][];
  bulks: Turn[][];
  overload: OverloadRound[];
  ratios: Ratio[];
}

/** Connections of the service's database server: two services and the benchmark. */
const DATABASE_CONNECTIONS = 40;

/** The production counters over HTTP, and what they are compared with, in turns; the first round is for warming up. */
export const httpBenchmark = (options: HttpOptions): Promise<HttpResult> =>
  withOwnDatabase(DATABASE_CONNECTIONS, async (databaseUrl) => {
    const bench = await Workbench.open(databaseUrl);
    try {
      const rounds = await throughput(bench, options);
      const bulk = await bulks(bench, options);
      const overloaded = await overload(bench, databaseUrl, options);
      return {
        rounds,
        bulks: bulk,
        overload: overloaded,
        ratios: httpRatios(rounds, overloaded, options.connections),
      };
    } finally {
      await bench.close();
    }
  });

async function throughput(
  bench: Workbench,
  { rounds, sliceMs, connections, signal }: HttpOptions,
): Promise<Turn[][]> {
  const all = connections.flatMap((count) =>
    Object.values(httpSubjects).map((subject) => ({ subject, count })),
  );
  const measured: Turn[][] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const turns: Turn[] = [];
    for (const [i, { subject, count }] of all.entries()) {
      signal.throwIfAborted();
      progress(`${subject.name}, c = ${count}`, round * all.length + i, (rounds + 1) * all.length);
      turns.push(await bench.turn(subject, { connections: count, ms: sliceMs }));
    }
    if (round > 0) measured.push(turns);
  }
  return measured;
}

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
  /** The numbers of concurrent connections to measure with. */
  connections: number[];
  signal: AbortSignal;
}

export interface HttpResult {
  /** The turns of each subject at each number of connections, round by round. */
  rounds: Turn[][];
  bulks: Turn[][];
  overload: OverloadRound[];
  ratios: Ratio[];
}

/** Connections that the database server allows: those of two services and of the benchmark. */
const DATABASE_CONNECTIONS = 40;

/** Measures the counters over HTTP, and the routes to compare them with, in turn. The first round is a warm-up. */
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

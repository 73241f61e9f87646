import { progress } from '../../../src/command-line/progress.ts';
import { withOwnDatabase } from '../../shared/own-database.ts';
import { startOwnService } from '../../shared/own-service.ts';
import type { Ratio } from '../figures/ratio.ts';
import { LoadGenerator } from '../http/load-generator.ts';
import { counterPeers } from './counter-peers.ts';
import { withOwnRedis } from './own-redis.ts';
import { peersRatios } from './peers-ratios.ts';
import { postgresPeers } from './postgres-peers.ts';
import { redisPeers } from './redis-peers.ts';
import { type Turn, takeTurn } from './subject.ts';
import { type Comparison, comparisons, type Peers } from './subjects.ts';

export interface PeersOptions {
  rounds: number;
  sliceMs: number;
  signal: AbortSignal;
}

export interface PeersResult {
  redisVersion: string;
  /** The turns of each subject at each number of callers, round by round. */
  rounds: Turn[][];
  ratios: Ratio[];
}

/** Connections that the database server allows: those of the service's and the benchmark's pools. */
const DATABASE_CONNECTIONS = 80;

/** Measures the counters and their alternatives in turn, all of them durable. The first round is a warm-up. */
export const peersBenchmark = (options: PeersOptions): Promise<PeersResult> =>
  withOwnRedis(({ url: redisUrl, version }) =>
    withOwnDatabase(DATABASE_CONNECTIONS, async (databaseUrl) => {
      const rounds = await withPeers(redisUrl, databaseUrl, (peers) => inTurns(comparisons(peers), options));
      return { redisVersion: version, rounds, ratios: peersRatios(rounds) };
    }),
  );

async function withPeers<T>(
  redisUrl: string,
  databaseUrl: string,
  work: (peers: Peers) => Promise<T>,
): Promise<T> {
  const counters = await counterPeers(databaseUrl);
  const redis = redisPeers(redisUrl);
  const postgres = await postgresPeers(databaseUrl);
  const generator = new LoadGenerator();
  try {
    const service = await startOwnService(
      { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl },
      'load-tests/benchmark/peers/peers-service.ts',
    );
    try {
      return await work({ counters, redis, postgres, url: service.url, generator });
    } finally {
      await service.stop();
    }
  } finally {
    await Promise.all([generator.stop(), counters.close(), redis.close(), postgres.close()]);
  }
}

async function inTurns(
  compared: readonly Comparison[],
  { rounds, sliceMs, signal }: PeersOptions,
): Promise<Turn[][]> {
  // Subjects that are compared take consecutive turns.
  const all = compared.flatMap((one) =>
    one.callers.flatMap((callers) => one.subjects.map((subject) => ({ subject, callers }))),
  );
  const measured: Turn[][] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const turns: Turn[] = [];
    for (const [i, { subject, callers }] of all.entries()) {
      signal.throwIfAborted();
      progress(
        `${subject.peer.name}, ${subject.load}, ${callers} callers`,
        round * all.length + i,
        (rounds + 1) * all.length,
      );
      turns.push(await takeTurn(subject, callers, sliceMs));
    }
    if (round > 0) measured.push(turns);
  }
  return measured;
}

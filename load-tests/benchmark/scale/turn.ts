import { check } from '../http/workbench.ts';
import type { Replica } from './replicas.ts';
import { cpuSecondsBetween, type Marks } from './server-marks.ts';
import type { Situation } from './situations.ts';
import type { World } from './world.ts';
import type { WriterLoad } from './writer-load.ts';

/** The figures of one situation in one round. */
export interface ScaleTurn {
  perSecond: number;
  /** Latencies in milliseconds, of the slowest replica. */
  p50Ms: number;
  p99Ms: number;
  commitsPerSecond: number;
  incrementsPerCommit: number;
  /** Bytes of write-ahead log. */
  walBytesPerIncrement: number;
  walBytesPerSecond: number;
  /** Processor time per increment, in microseconds: of all replicas, and of the server. */
  replicaUs: number;
  serverUs: number;
}

/** The figures of a replica's callers, and its processor time. */
type Offered = Awaited<ReturnType<Replica['offer']>>;

/** How long one caller per replica warms up the connections before a turn, in milliseconds. */
const WARM_MS = 5;

/** @throws {Error} if the counters have not grown by the number of acknowledged increments, or not at all */
export async function measureTurn(world: World, situation: Situation, sliceMs: number): Promise<ScaleTurn> {
  const { name, counters, hashed, keyedShare, callers, roundTripMs, slices } = situation;
  const replicas = await world.replicasOf(situation);
  const offer = (load: Omit<WriterLoad, 'indexes'>) =>
    Promise.all(
      replicas.map((replica, i) => {
        const indexes = { first: hashed ? i : 0, step: hashed ? replicas.length : 1, end: counters };
        return replica.offer({ indexes, ...load });
      }),
    );
  const marks = world.marksOf(situation);
  world.roundTripMs = roundTripMs;
  // A pool closes idle connections; the turn must not include the time to open them again.
  await offer({ keyedShare: 0, callers: 1, ms: WARM_MS });
  const before = await marks.read();
  const startedAt = performance.now();
  const share = Math.ceil(callers / replicas.length);
  const offered = await offer({ keyedShare, callers: share, ms: sliceMs * slices });
  const seconds = (performance.now() - startedAt) / 1000;
  const after = await marks.read();
  const counted = after.counted - before.counted;
  check(name, counted, answersOf(offered));
  if (counted === 0) throw new Error(`${name}: nothing was counted`);
  return figures(offered, before, after, seconds);
}

function answersOf(offered: readonly Offered[]): Record<string, number> {
  const answers: Record<string, number> = {};
  for (const { seen } of offered)
    for (const [status, count] of Object.entries(seen.answers))
      answers[status] = (answers[status] ?? 0) + count;
  return answers;
}

function figures(offered: readonly Offered[], before: Marks, after: Marks, seconds: number): ScaleTurn {
  const counted = after.counted - before.counted;
  const commits = after.commits - before.commits;
  const walBytes = after.wal - before.wal;
  const sum = (of: (one: Offered) => number) => offered.reduce((total, one) => total + of(one), 0);
  return {
    perSecond: sum(({ seen }) => seen.perSecond),
    p50Ms: Math.max(...offered.map(({ seen }) => seen.served.p50)),
    p99Ms: Math.max(...offered.map(({ seen }) => seen.served.p99)),
    commitsPerSecond: commits / seconds,
    incrementsPerCommit: counted / commits,
    walBytesPerIncrement: walBytes / counted,
    walBytesPerSecond: walBytes / seconds,
    replicaUs: (sum(({ cpuS }) => cpuS) * 1e6) / counted,
    serverUs: (cpuSecondsBetween(before, after) * 1e6) / counted,
  };
}

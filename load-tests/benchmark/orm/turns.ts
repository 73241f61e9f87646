import type { Pool } from 'pg';
import { progress } from '../../../src/command-line/progress.ts';
import { type Spread, spread } from '../../shared/spread.ts';
import { POSTS } from './posts.ts';

/** Adds 1 to a post; false: the increment was refused. */
export interface Runner {
  name: string;
  increment: (pk: number) => Promise<boolean>;
}

export interface RunnerSpeed {
  name: string;
  perSecond: Spread;
  /** The measurements of each round, in order. */
  rounds: number[];
}

export interface Turns {
  rounds: number;
  sliceMs: number;
  workers: number;
  signal: AbortSignal;
}

/**
 * Gives each subject a turn in every round: a machine that is slow for a while is slow for all of them, so that the
 * figures of one round are comparable. The first round is a warm-up and does not count.
 *
 * @throws the signal's reason
 */
export async function inTurns(
  pool: Pool,
  runners: readonly Runner[],
  { rounds, sliceMs, workers, signal }: Turns,
): Promise<RunnerSpeed[]> {
  const seen = runners.map(({ name }) => ({ name, rounds: [] as number[] }));
  for (let round = 0; round <= rounds; round += 1) {
    for (const [i, runner] of runners.entries()) {
      signal.throwIfAborted();
      progress(runner.name, round * runners.length + i, (rounds + 1) * runners.length);
      const perSecond = await turn(pool, runner, sliceMs, workers);
      if (round > 0) seen[i]?.rounds.push(perSecond);
    }
  }
  return seen.map(({ name, rounds: all }) => ({ name, rounds: all, perSecond: spread(all) }));
}

/** Uses a separate row, so that no subject inherits another one's dead row versions. */
async function turn(pool: Pool, { increment }: Runner, sliceMs: number, workers: number): Promise<number> {
  const { rows } = await pool.query<{ pk: number }>(`insert into ${POSTS} default values returning pk`);
  const pk = rows[0]?.pk ?? 0;
  const startedAt = performance.now();
  let done = 0;
  const work = async () => {
    while (performance.now() - startedAt < sliceMs) if (await increment(pk)) done += 1;
  };
  await Promise.all(Array.from({ length: workers }, work));
  const seconds = (performance.now() - startedAt) / 1000;
  await pool.query(`delete from ${POSTS} where pk = $1`, [pk]);
  return done / seconds;
}

/** One runner's speed divided by another's in the same round, over all rounds. */
export function speedRatio(measured: readonly RunnerSpeed[], name: string, by: string): Spread {
  const [a, b] = [name, by].map((one) => measured.find((runner) => runner.name === one)?.rounds ?? []);
  return spread((a ?? []).map((value, round) => value / (b?.[round] ?? Number.NaN)));
}

import type { Pool } from 'pg';

/** Something that adds 1 to a post; false when it was refused. */
export interface Runner {
  name: string;
  increment: (pk: number) => Promise<boolean>;
}

export interface Spread {
  median: number;
  min: number;
  max: number;
}

export interface Measured {
  name: string;
  perSecond: Spread;
  /** What was measured in each round, in order. */
  rounds: number[];
}

export interface Turns {
  rounds: number;
  sliceMs: number;
  contenders: number;
}

/**
 * Gives everybody a turn, again and again: a machine that is slow for a while is slow for all of them, so that what
 * was measured in one round can be compared. The first round is for warming up and does not count.
 */
export async function interleaved(
  pool: Pool,
  runners: readonly Runner[],
  { rounds, sliceMs, contenders }: Turns,
  onTurn: (name: string, done: number, of: number) => void,
): Promise<Measured[]> {
  const seen = runners.map(({ name }) => ({ name, rounds: [] as number[] }));
  for (let round = 0; round <= rounds; round += 1) {
    for (const [i, runner] of runners.entries()) {
      onTurn(runner.name, round * runners.length + i, (rounds + 1) * runners.length);
      const perSecond = await turn(pool, runner, sliceMs, contenders);
      if (round > 0) seen[i]?.rounds.push(perSecond);
    }
  }
  return seen.map(({ name, rounds: all }) => ({ name, rounds: all, perSecond: spread(all) }));
}

/** On a row of its own, so that nobody inherits the dead versions of another's. */
async function turn(pool: Pool, { increment }: Runner, sliceMs: number, contenders: number): Promise<number> {
  const { rows } = await pool.query<{ pk: number }>('insert into posts default values returning pk');
  const pk = rows[0]?.pk ?? 0;
  const startedAt = performance.now();
  let done = 0;
  const contend = async () => {
    while (performance.now() - startedAt < sliceMs) if (await increment(pk)) done += 1;
  };
  await Promise.all(Array.from({ length: contenders }, contend));
  const seconds = (performance.now() - startedAt) / 1000;
  await pool.query('delete from posts where pk = $1', [pk]);
  return done / seconds;
}

/** One runner's speed divided by another's in the same round; over all rounds. */
export function ratio(measured: readonly Measured[], name: string, by: string): Spread {
  const [a, b] = [name, by].map((one) => measured.find((runner) => runner.name === one)?.rounds ?? []);
  return spread((a ?? []).map((value, round) => value / (b?.[round] ?? Number.NaN)));
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  return { median: sorted[sorted.length >> 1] ?? 0, min: sorted[0] ?? 0, max: sorted.at(-1) ?? 0 };
}

import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
import type { Static } from 'typebox';
import { Post } from '../likes/post.ts';
import type { Arena, RaceResult } from './arena.ts';
import type { Experiment } from './experiments/experiment.ts';
import { experiments } from './experiments/index.ts';
import { measureRetry } from './pace.ts';
import type { trialResult } from './schemas.ts';
import { judge } from './verdict.ts';
import { withinTime } from './within-time.ts';
import type { Race } from './worker.ts';

export type Trial = Pick<
  Race,
  'strategy' | 'workers' | 'increments' | 'signal' | 'retryMsMax' | 'log' | 'onIncrement'
> & {
  /** The kind of race; by default likes. */
  experiment?: Experiment;
};

/** The result of one strategy's race on its own post, and whether it agrees with the strategy's claim. */
export type TrialResult = Static<typeof trialResult>;

/** The maximum number of increments of the race that may succeed; null: no maximum. */
export const stockOf = ({
  experiment = experiments[0],
  workers,
  increments,
}: Pick<Trial, 'experiment' | 'workers' | 'increments'>): number | null =>
  experiment.stockOf(workers * increments);

/** The number of races without a loss after which the claim `loses` is broken. */
const LOSER_RACES = 5;

/**
 * Runs a race of a strategy on a new post, reads the count, and always deletes the post. The time limit for retries is
 * measured unless it is given (see `measureRetry`).
 *
 * @throws as `Arena.run`, except if the race ran out of time, which is a result
 */
export async function runTrial(orm: MikroORM, arena: Arena, trial: Trial): Promise<TrialResult> {
  const { strategy, experiment = experiments[0] } = trial;
  const stock = stockOf(trial);
  const em = orm.em.fork();
  return withPost(em, stock, async (pk) => {
    const race = { ...trial, pk, newSession: () => orm.em.fork(), record: true };
    const result = await withinTime(async () =>
      arena.run({ ...race, retryMsMax: await retryMsMaxOf(em, arena, race) }),
    );
    const startedAt = performance.now();
    const final = await (strategy.count?.(em, pk) ?? likesOf(em, pk));
    const read = { startedAt, endedAt: performance.now(), value: final };
    return {
      experiment: experiment.name,
      strategy: strategy.name,
      claim: strategy.claim,
      stock,
      ...judge({ strategy, experiment, stock }, result, read),
      ...figures(result),
    };
  });
}

/**
 * Runs a trial like `runTrial`. A strategy that claims `loses` runs again while it has lost nothing, because one race
 * without a loss does not refute the claim.
 *
 * @throws as `runTrial`
 */
export async function runUntilItLoses(orm: MikroORM, arena: Arena, trial: Trial): Promise<TrialResult> {
  let result = await runTrial(orm, arena, trial);
  for (let race = 1; race < LOSER_RACES && trial.strategy.claim === 'loses' && result.lost === 0; race += 1) {
    result = await runTrial(orm, arena, trial);
  }
  return result;
}

async function withPost<T>(
  em: EntityManager,
  stock: number | null,
  work: (pk: number) => Promise<T>,
): Promise<T> {
  const pk = await em.insert(Post, { like: 0, version: 1, modifiedAt: new Date(), stock });
  try {
    return await work(pk);
  } finally {
    await em.nativeDelete(Post, pk);
  }
}

/** The given limit; otherwise it is measured on a separate post, if the strategy retries. */
async function retryMsMaxOf(em: EntityManager, arena: Arena, race: Race): Promise<number | undefined> {
  if (race.retryMsMax !== undefined || race.strategy.attempts === 1) return race.retryMsMax;
  return withPost(em, null, (pk) => measureRetry(arena, { ...race, pk }));
}

async function likesOf(em: MikroORM['em'], pk: number): Promise<number> {
  return (await em.findOneOrFail(Post, pk, { refresh: true })).like;
}

function figures({ history, acknowledged, conflicts, retries, durationMs }: RaceResult) {
  return {
    attempted: history.length,
    acknowledged,
    conflicts,
    retries,
    duration_ms: Math.round(durationMs * 10) / 10,
    increments_per_second: durationMs > 0 ? Math.round((acknowledged / durationMs) * 1000) : 0,
  };
}

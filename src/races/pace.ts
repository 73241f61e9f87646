import { RetriesExhaustedError } from '../concurrency/retry.ts';
import { RETRY_MS_MAX } from '../likes/run.ts';
import { type Arena, UnfinishedRaceError } from './arena.ts';
import type { Race } from './worker.ts';

/** The number of measured increments; the time of the first one includes connecting. */
const SAMPLE = 3;

/** The upper limit for the retries of an increment, even on a slow database, in milliseconds. */
const RETRY_MS_LONGEST = 300_000;

/**
 * Measures how long an increment takes without contention, and derives how long one of this race may retry, in
 * milliseconds. In the worst case the increments of all other workers come first, and each attempt takes `workers`
 * times as long because all of them are trying.
 *
 * @throws as `Arena.run`, but without the result; {Error} when an increment without contention meets conflicts
 */
export async function measureRetry(arena: Arena, race: Race): Promise<number> {
  const { workers, increments, strategy } = race;
  const alone = { ...race, workers: 1, increments: SAMPLE, onIncrement: undefined, record: false };
  try {
    const { durationMs } = await arena.run(alone);
    const atWorstMs = (durationMs / SAMPLE) * workers ** 2 * increments;
    return Math.min(RETRY_MS_LONGEST, Math.max(RETRY_MS_MAX, atWorstMs));
  } catch (error) {
    const cause = error instanceof UnfinishedRaceError ? error.cause : error;
    if (!(cause instanceof RetriesExhaustedError)) throw cause;
    throw new Error(`${strategy.name} meets conflicts without contention`, { cause: error });
  }
}

import { RetriesExhaustedError } from '../concurrency/retry.ts';
import { RETRY_MS_MAX } from '../strategies/run.ts';
import { type Arena, UnfinishedRaceError } from './arena.ts';
import type { Race } from './worker.ts';

/** Increments that are measured: the first of them also pays for the connection. */
const SAMPLE = 3;

/** However slow the database is, an increment gives up after five minutes. */
const RETRY_MS_LONGEST = 300_000;

/**
 * How long an increment of this race may retry, in milliseconds, by how long one takes here while no other does. At
 * worst all increments of the others come first, and while all workers try, each attempt takes as many times as long.
 *
 * @throws as `Arena.run`, but without what was done; {Error} when even a lone increment meets conflicts
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
    throw new Error(`${strategy.name} meets conflicts although it is alone`, { cause: error });
  }
}

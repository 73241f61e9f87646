import { RetriesExhaustedError } from '../concurrency/retry.ts';
import { failureOf } from '../database/failure.ts';
import { type RaceResult, UnfinishedRaceError } from './arena.ts';

/** What is known of a race that could not begin in its time. */
const NOTHING: RaceResult = {
  workers: [],
  history: [],
  acknowledged: 0,
  conflicts: 0,
  retries: 0,
  durationMs: 0,
};

/** What was done of a race, and whether there was not time for all of it. */
export interface TimedResult extends RaceResult {
  outOfTime: boolean;
}

/** A race, or the part of it that was run when its time was over. */
export async function withinTime(run: () => Promise<RaceResult>): Promise<TimedResult> {
  try {
    return { ...(await run()), outOfTime: false };
  } catch (error) {
    const unfinished = error instanceof UnfinishedRaceError ? error : undefined;
    if (!isOutOfTime(unfinished ? unfinished.cause : error)) throw error;
    return { ...(unfinished?.result ?? NOTHING), outOfTime: true };
  }
}

/** A wait that was too long, for a lock, a connection or the end of conflicts: it says nothing about the claim. */
const isOutOfTime = (error: unknown): boolean =>
  (error instanceof RetriesExhaustedError && error.usedUp === 'time') ||
  (error instanceof DOMException && error.name === 'TimeoutError') ||
  failureOf(error) === 'busy';

import { RetriesExhaustedError } from '../concurrency/retry.ts';
import { failureOf } from '../database/failure.ts';
import { type RaceResult, UnfinishedRaceError } from './arena.ts';

/** The result of a race that could not start within its time. */
const NOTHING: RaceResult = {
  workers: [],
  history: [],
  acknowledged: 0,
  conflicts: 0,
  retries: 0,
  durationMs: 0,
};

/** The result of a race, and whether it ran out of time. */
export interface TimedResult extends RaceResult {
  outOfTime: boolean;
}

/** Runs a race; if it runs out of time, returns the result until then. */
export async function withinTime(run: () => Promise<RaceResult>): Promise<TimedResult> {
  try {
    return { ...(await run()), outOfTime: false };
  } catch (error) {
    const unfinished = error instanceof UnfinishedRaceError ? error : undefined;
    if (!isOutOfTime(unfinished ? unfinished.cause : error)) throw error;
    return { ...(unfinished?.result ?? NOTHING), outOfTime: true };
  }
}

/** Whether a wait for a lock, for a connection or for conflicts to end timed out, which decides nothing about the claim. */
const isOutOfTime = (error: unknown): boolean =>
  (error instanceof RetriesExhaustedError && error.usedUp === 'time') ||
  (error instanceof DOMException && error.name === 'TimeoutError') ||
  failureOf(error) === 'busy';

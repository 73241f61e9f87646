import type { CounterLock, History } from '../journal/history.ts';
import { incrementsOf, isLegitimateRefusal } from '../journal/operation.ts';
import { type Violation, violation } from './violation.ts';

/** The requests that were sent while another session held locks, and that need none of the locked counters. */
export interface UnrelatedRequests {
  acknowledged: number;
  refused: number;
  /** The longest time to an answer, in milliseconds. */
  slowestMs: number;
}

/** The time limit for their answers, in milliseconds: long enough for a busy machine. */
const ANSWER_MS_MAX = 5000;

export function unrelatedRequestsOf(
  { operations }: History,
  { names, startedAt, endedAt }: CounterLock,
): UnrelatedRequests {
  const locked = new Set(names);
  const result: UnrelatedRequests = { acknowledged: 0, refused: 0, slowestMs: 0 };
  for (const operation of operations) {
    if (operation.startedAt < startedAt || operation.startedAt > endedAt) continue;
    // The client disconnected before the answer, so the time to the answer is not known.
    if (operation.outcome === 'unknown' || operation.again) continue;
    if (incrementsOf(operation).some(({ name }) => locked.has(name))) continue;
    result.slowestMs = Math.max(result.slowestMs, operation.endedAt - operation.startedAt);
    if (operation.outcome === 'acknowledged') result.acknowledged += 1;
    else if (!isLegitimateRefusal(operation)) result.refused += 1;
  }
  return result;
}

export function checkUnrelatedRequests(history: History): Violation[] {
  return history.locks.flatMap((lock) => {
    const { acknowledged, refused, slowestMs } = unrelatedRequestsOf(history, lock);
    if (acknowledged > 0 && refused === 0 && slowestMs <= ANSWER_MS_MAX) return [];
    const result = `${acknowledged} acknowledged, ${refused} refused, slowest answer after ${Math.round(slowestMs)} ms`;
    return [violation('unrelated', `while ${lock.names[0]} was locked: ${result}`)];
  });
}

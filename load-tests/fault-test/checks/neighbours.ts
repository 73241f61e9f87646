import type { CounterLock, History } from '../journal/history.ts';
import { incrementsOf, isDeserved } from '../journal/operation.ts';
import { type Violation, violation } from './violation.ts';

/** What became of requests that were sent while counters were locked that they did not need. */
export interface Neighbours {
  acknowledged: number;
  refused: number;
  /** The longest time that one of them took, in milliseconds. */
  slowestMs: number;
}

/** A neighbour has its answer within this time, in milliseconds, also on a machine that has much else to do. */
const NEIGHBOUR_MS_MAX = 5000;

export function neighboursOf(
  { operations }: History,
  { names, startedAt, endedAt }: CounterLock,
): Neighbours {
  const locked = new Set(names);
  const result: Neighbours = { acknowledged: 0, refused: 0, slowestMs: 0 };
  for (const operation of operations) {
    if (operation.startedAt < startedAt || operation.startedAt > endedAt) continue;
    // Its client hung up: how long its answer took cannot be known.
    if (operation.outcome === 'unknown' || operation.again) continue;
    if (incrementsOf(operation).some(({ name }) => locked.has(name))) continue;
    result.slowestMs = Math.max(result.slowestMs, operation.endedAt - operation.startedAt);
    if (operation.outcome === 'acknowledged') result.acknowledged += 1;
    else if (!isDeserved(operation)) result.refused += 1;
  }
  return result;
}

export function checkNeighbours(history: History): Violation[] {
  return history.locks.flatMap((lock) => {
    const { acknowledged, refused, slowestMs } = neighboursOf(history, lock);
    if (acknowledged > 0 && refused === 0 && slowestMs <= NEIGHBOUR_MS_MAX) return [];
    const result = `${acknowledged} acknowledged, ${refused} refused, the slowest after ${Math.round(slowestMs)} ms`;
    return [violation('neighbours', `while ${lock.names[0]} was locked: ${result}`)];
  });
}

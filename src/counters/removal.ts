import { setTimeout } from 'node:timers/promises';
import { messageOf } from '../errors/caught.ts';
import type { CounterStore, Removed } from './store.ts';

/** How often expired keys and counters and ended writers are removed, in milliseconds, and how many rows at a time. */
const EVERY_MS = 60_000;
const ROWS_MAX = 1000;

/** A pause between two portions, in milliseconds: removal is never in a hurry. */
const PAUSE_MS = 20;

/** Removes what has expired until `closing` is aborted. Several replicas may do so at the same time. */
export async function removeExpiredForEver(
  store: Pick<CounterStore, 'removeKeys' | 'removeCounters' | 'removeWriters'>,
  closing: AbortSignal,
  warn: (message: string) => void,
): Promise<void> {
  while (!closing.aborted) {
    try {
      await inPortions((since) => store.removeKeys(ROWS_MAX, since), closing);
      await inPortions((since) => store.removeCounters(ROWS_MAX, since), closing);
      await store.removeWriters();
    } catch (error) {
      if (!closing.aborted)
        warn(`expired idempotency keys and counters were not removed: ${messageOf(error)}`);
    }
    // Replicas that were started together do not stay in step.
    await pause(EVERY_MS * (0.5 + Math.random()), closing);
  }
}

/** A round begins with the earliest end again: a row that was locked, or that has ended in the past, is found by the next one. */
async function inPortions(remove: (since?: string) => Promise<Removed>, closing: AbortSignal): Promise<void> {
  for (let since: string | undefined; !closing.aborted; await pause(PAUSE_MS, closing)) {
    const { count, last } = await remove(since);
    if (count < ROWS_MAX) return;
    since = last;
  }
}

/** Does not throw when it is cut short: the loop looks at the signal itself. */
const pause = (ms: number, signal: AbortSignal) =>
  setTimeout(ms, undefined, { signal, ref: false }).catch(() => {});

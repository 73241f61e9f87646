import { setTimeout } from 'node:timers/promises';
import { messageOf } from '../errors/caught.ts';
import type { CounterStore } from './store.ts';

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
      for (const portion of [() => store.removeKeys(ROWS_MAX), () => store.removeCounters(ROWS_MAX)]) {
        while (!closing.aborted && (await portion()) >= ROWS_MAX) await pause(PAUSE_MS, closing);
      }
      await store.removeWriters();
    } catch (error) {
      if (!closing.aborted)
        warn(`expired idempotency keys and counters were not removed: ${messageOf(error)}`);
    }
    // Replicas that were started together do not stay in step.
    await pause(EVERY_MS * (0.5 + Math.random()), closing);
  }
}

/** Does not throw when it is cut short: the loop looks at the signal itself. */
const pause = (ms: number, signal: AbortSignal) =>
  setTimeout(ms, undefined, { signal, ref: false }).catch(() => {});

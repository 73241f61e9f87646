import { setTimeout } from 'node:timers/promises';
import { messageOf } from '../errors/caught.ts';
import type { CounterStore } from './store.ts';

/** The average interval at which expired keys, expired counters and inactive writers are removed, in milliseconds. */
const EVERY_MS = 60_000;

/** The most rows that one statement removes. */
const ROWS_MAX = 1000;

/** The pause between two portions, in milliseconds, so that removal does not slow down requests. */
const PAUSE_MS = 20;

/** Removes expired rows until `closing` is aborted. Several replicas may do so at the same time. */
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
    // A random interval, so that replicas that were started together do not stay in step.
    await pause(EVERY_MS * (0.5 + Math.random()), closing);
  }
}

/** Resolves early, and does not throw, when the signal is aborted: the loop checks the signal. */
const pause = (ms: number, signal: AbortSignal) =>
  setTimeout(ms, undefined, { signal, ref: false }).catch(() => {});

import { setTimeout } from 'node:timers/promises';
import { messageOf } from '../errors/caught.ts';
import type { CounterStore, Removed } from './store.ts';

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
      await inPortions((since) => store.removeKeys(ROWS_MAX, since), closing);
      await inPortions((since) => store.removeCounters(ROWS_MAX, since), closing);
      await store.removeWriters();
    } catch (error) {
      if (!closing.aborted)
        warn(`expired idempotency keys and counters were not removed: ${messageOf(error)}`);
    }
    // A random interval, so that replicas that were started together do not stay in step.
    await pause(EVERY_MS * (0.5 + Math.random()), closing);
  }
}

/**
 * Each round starts with the earliest expiry, so that it also finds rows that were locked in an earlier round, or whose
 * expiry was set to the past.
 */
async function inPortions(remove: (since?: string) => Promise<Removed>, closing: AbortSignal): Promise<void> {
  for (let since: string | undefined; !closing.aborted; await pause(PAUSE_MS, closing)) {
    const { count, last } = await remove(since);
    if (count < ROWS_MAX) return;
    since = last;
  }
}

/** Resolves early, and does not throw, when the signal is aborted: the loop checks the signal. */
const pause = (ms: number, signal: AbortSignal) =>
  setTimeout(ms, undefined, { signal, ref: false }).catch(() => {});

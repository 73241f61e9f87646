import { setTimeout } from 'node:timers/promises';
import { messageOf } from '../errors/caught.ts';
import type { CounterStore } from './store.ts';

/** How often expired keys and receipts are removed, in milliseconds, and how many at a time. */
const EVERY_MS = 60_000;
const ROWS_MAX = 1000;

/** A pause between two portions, in milliseconds: removal is never in a hurry. */
const PAUSE_MS = 20;

/** Removes what has expired, now and then, until `closing` is aborted. Several replicas do not get in each other's way. */
export async function removeExpiredForEver(
  store: Pick<CounterStore, 'removeExpired'>,
  closing: AbortSignal,
  warn: (message: string) => void,
): Promise<void> {
  while (!closing.aborted) {
    try {
      while ((await store.removeExpired(ROWS_MAX)) >= ROWS_MAX) await pause(PAUSE_MS, closing);
    } catch (error) {
      if (!closing.aborted) warn(`expired idempotency keys were not removed: ${messageOf(error)}`);
    }
    // Replicas that were started together do not stay in step.
    await pause(EVERY_MS * (0.5 + Math.random()), closing);
  }
}

/** Throws nothing when it is cut short: the loop looks at the signal itself. */
const pause = (ms: number, signal: AbortSignal) =>
  setTimeout(ms, undefined, { signal, ref: false }).catch(() => {});

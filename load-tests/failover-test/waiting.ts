import { setTimeout } from 'node:timers/promises';

/** Between two looks, in milliseconds. */
const POLL_MS = 50;

/**
 * Looks again until there is what is waited for.
 *
 * @param look a failure counts as "not yet"
 * @throws {Error} that says what was waited for, when it takes too long
 */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  { msMax, signal }: { msMax: number; signal: AbortSignal },
): Promise<T> {
  const deadline = performance.now() + msMax;
  for (let failure: unknown; ; await setTimeout(POLL_MS, undefined, { signal })) {
    signal.throwIfAborted();
    try {
      const seen = await look();
      if (seen !== undefined && seen !== false) return seen;
    } catch (error) {
      failure = error;
    }
    if (performance.now() > deadline) throw new Error(`waited ${msMax} ms for ${what}`, { cause: failure });
  }
}

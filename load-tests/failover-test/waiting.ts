import { setTimeout } from 'node:timers/promises';

/** The interval between two polls, in milliseconds. */
const POLL_MS = 50;

/**
 * Polls until there is a result.
 *
 * @param look returns undefined, or throws, while there is none
 * @throws {Error} that names what was waited for, after the time limit
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

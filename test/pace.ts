import { availableParallelism, loadavg } from 'node:os';
import { testRun } from './test-server.ts';

/**
 * A time limit in milliseconds, scaled for this machine at this moment: as given on an idle machine, else multiplied
 * by the slowness of this run's start or by the runnable processes per processor, whichever is greater.
 */
export function slow(ms: number): number {
  const load = (loadavg()[0] ?? 0) / availableParallelism();
  return Math.round(ms * Math.max(1, load, testRun().slowness));
}

/** How often a test repeats what depends on timing: `few` times, or `many` times with `LONG_TESTS=1`. */
export const repetitions = (few: number, many: number): number => (process.env.LONG_TESTS ? many : few);

/**
 * Repeats a race until it has lost updates, because one race without a loss does not refute the claim `loses`.
 *
 * @returns the result of the last race, which has lost nothing only if none of five has
 */
export async function untilItLoses<T>(race: () => Promise<T>, hasLost: (result: T) => boolean): Promise<T> {
  let result = await race();
  for (let races = 1; races < 5 && !hasLost(result); races += 1) result = await race();
  return result;
}

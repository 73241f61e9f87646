import { availableParallelism, loadavg } from 'node:os';
import { testRun } from './test-server.ts';

/**
 * A time that something may take, in milliseconds, on this machine at this moment: as given where the machine has nothing
 * else to do, and longer as the start of this run took longer than it takes there, or as more processes want to run than
 * there are processors.
 */
export function slow(ms: number): number {
  const wanting = (loadavg()[0] ?? 0) / availableParallelism();
  return Math.round(ms * Math.max(1, wanting, testRun().slowness));
}

/** How often a test repeats what depends on timing: `few` times, or `many` times with `LONG_TESTS=1`. */
export const repetitions = (few: number, many: number): number => (process.env.LONG_TESTS ? many : few);

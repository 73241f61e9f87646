import { Problem } from '../errors/problem.ts';
import type { Row } from './row.ts';

/** The number of windows of a counter that can be read, including the current one. */
export const WINDOWS_MAX = 60;

/** How long a window is kept after it can be read, in milliseconds, since the clocks of replicas and database may differ. */
const KEPT_MS = 10 * 60_000;

const WINDOW = /^[1-9]\d{0,3}[smhd]$/;

/** From the largest, in milliseconds. */
const units = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000 };

/**
 * The row of the window of a counter at a time, in milliseconds since 1970. Windows of one length follow each other without
 * a gap, from 1970-01-01T00:00:00Z on; equal lengths (`60s`, `1m`) are the same windows.
 *
 * @throws {Problem} `invalid_request` when the window is not a number of seconds, minutes, hours or days
 */
export const windowAt = (name: string, window: string, at: number): Row => rowAt(name, msOf(window), at);

/** The rows of the last windows of a counter at a time, the current one first. @throws {Problem} as `windowAt` */
export function windowsAt(name: string, window: string, at: number, count: number): Row[] {
  const ms = msOf(window);
  return Array.from({ length: count }, (_, i) => rowAt(name, ms, at - i * ms));
}

/** The length of a window in the largest unit that divides it. @throws {Problem} as `windowAt` */
export const canonical = (window: string): string => periodOf(msOf(window));

function rowAt(name: string, ms: number, at: number): Row {
  const start = Math.floor(at / ms) * ms;
  return { name, period: periodOf(ms), start, end: start + ms, keptMs: WINDOWS_MAX * ms + KEPT_MS };
}

function msOf(window: string): number {
  if (typeof window !== 'string' || !WINDOW.test(window)) {
    throw new Problem(
      'invalid_request',
      `window is ${JSON.stringify(window)?.slice(0, 20)}; allowed: 1 to 9999 followed by a unit (s, m, h or d), such as 15m`,
    );
  }
  return Number(window.slice(0, -1)) * units[window.slice(-1) as keyof typeof units];
}

function periodOf(ms: number): string {
  for (const [unit, unitMs] of Object.entries(units)) if (ms % unitMs === 0) return `${ms / unitMs}${unit}`;
  throw new RangeError(`${ms} ms are not whole seconds`);
}

import { Problem } from '../errors/problem.ts';

/** Buckets of a counter that can be read, the current one included. */
export const BUCKETS_MAX = 60;

/** How much longer than it can be read a bucket is kept, in milliseconds: the clocks of the replicas and the database differ. */
const KEPT_MS = 10 * 60_000;

const WINDOW = /^[1-9]\d{0,3}[smhd]$/;

const units = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000 };

/** A counter of a counter's increments in one window of time. */
export interface Bucket {
  /** Its name in the database; no name of a counter is like it, since those have no control characters. */
  name: string;
  /** When its window begins, in milliseconds since 1970. */
  start: number;
  /** When it is removed, in milliseconds since 1970. */
  expiresAt: number;
}

/**
 * The last buckets of a counter, the current one first. Windows of one length follow each other without a gap, from
 * 1970-01-01T00:00:00Z on; lengths that are equal (`60s`, `1m`) share their buckets.
 *
 * @param at in milliseconds since 1970
 * @throws {Problem} `invalid_request` when the window is not a number of seconds, minutes, hours or days
 */
export function bucketsOf(counter: string, window: string, at: number, count = 1): Bucket[] {
  const ms = lengthOf(window);
  const current = at - (at % ms);
  return Array.from({ length: count }, (_, i) => {
    const start = current - i * ms;
    const name = [SEPARATOR, ms, SEPARATOR, start, SEPARATOR, counter].join('');
    return { name, start, expiresAt: start + BUCKETS_MAX * ms + KEPT_MS };
  });
}

/** What a name in the database stands for; `start` and `end` only for a bucket, in milliseconds since 1970. */
export function counterNamed(name: string): {
  counter: string;
  window?: string;
  start?: number;
  end?: number;
} {
  if (!name.startsWith(SEPARATOR)) return { counter: name };
  const [, ms, start, counter = ''] = name.split(SEPARATOR);
  return { counter, window: textOf(Number(ms)), start: Number(start), end: Number(start) + Number(ms) };
}

/** The name for a message. */
export function quoted(name: string): string {
  const { counter, window, start } = counterNamed(name);
  const text = JSON.stringify(counter);
  return start === undefined
    ? text
    : `${text} in the window of ${window} from ${new Date(start).toISOString()}`;
}

/** The unit separator of ASCII. */
const SEPARATOR = '\u001f';

function lengthOf(window: string): number {
  if (typeof window !== 'string' || !WINDOW.test(window)) {
    throw new Problem(
      'invalid_request',
      `window is ${JSON.stringify(window)?.slice(0, 20)}; allowed: 1 to 9999 and a unit, s, m, h or d, such as 15m`,
    );
  }
  return Number(window.slice(0, -1)) * units[window.slice(-1) as keyof typeof units];
}

/** The length in the largest unit that divides it. */
function textOf(ms: number): string {
  const [unit, length] = Object.entries(units).find(([, length]) => ms % length === 0) ?? ['ms', 1];
  return `${ms / length}${unit}`;
}

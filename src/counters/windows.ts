import { Problem } from '../errors/problem.ts';

/** The number of buckets of a counter that can be read, including the current one. */
export const BUCKETS_MAX = 60;

/** How long a bucket is kept after it can be read, in milliseconds, since the clocks of replicas and database may differ. */
const KEPT_MS = 10 * 60_000;

const WINDOW = /^[1-9]\d{0,3}[smhd]$/;

const units = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000 };

/** A row that counts the increments of a counter in one window of time. */
export interface Bucket {
  /** Its name in the database. It cannot be the name of a counter, since those have no control characters. */
  name: string;
  /** The beginning of its window, in milliseconds since 1970. */
  start: number;
  /** The time from which it may be removed, in milliseconds since 1970. */
  expiresAt: number;
}

/**
 * Returns the bucket of a counter at a time, in milliseconds since 1970. Windows of one length follow each other without a
 * gap, from 1970-01-01T00:00:00Z on; equal lengths (`60s`, `1m`) share their buckets.
 *
 * @throws {Problem} `invalid_request` when the window is not a number of seconds, minutes, hours or days
 */
export const bucketOf = (counter: string, window: string, at: number): Bucket =>
  bucketAt(counter, lengthOf(window), at);

/** Returns the last buckets of a counter at a time, the current one first. @throws {Problem} as `bucketOf` */
export function bucketsOf(counter: string, window: string, at: number, count: number): Bucket[] {
  const ms = lengthOf(window);
  return Array.from({ length: count }, (_, i) => bucketAt(counter, ms, at - i * ms));
}

function bucketAt(counter: string, ms: number, at: number): Bucket {
  const start = Math.floor(at / ms) * ms;
  const name = ['', ms, start, counter].join(SEPARATOR);
  return { name, start, expiresAt: start + BUCKETS_MAX * ms + KEPT_MS };
}

/** Parses a name in the database. Only a bucket has `window`, and `start` and `end`, in milliseconds since 1970. */
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

/** The name as it is written in messages. */
export function quoted(name: string): string {
  const { counter, window, start } = counterNamed(name);
  const text = JSON.stringify(counter);
  return start === undefined
    ? text
    : `${text} in the window of ${window} from ${new Date(start).toISOString()}`;
}

/** The length of the window of a bucket, in milliseconds, as SQL. @param name SQL: the name of the bucket */
export const windowMsIn = (name: string): string => `split_part(${name}, chr(31), 2)::bigint`;

/** The unit separator of ASCII. */
const SEPARATOR = '\u001f';

function lengthOf(window: string): number {
  if (typeof window !== 'string' || !WINDOW.test(window)) {
    throw new Problem(
      'invalid_request',
      `window is ${JSON.stringify(window)?.slice(0, 20)}; allowed: 1 to 9999 followed by a unit (s, m, h or d), such as 15m`,
    );
  }
  return Number(window.slice(0, -1)) * units[window.slice(-1) as keyof typeof units];
}

/** The length in the largest unit that divides it. */
function textOf(ms: number): string {
  const [unit, unitMs] = Object.entries(units).find((entry) => ms % entry[1] === 0) ?? ['ms', 1];
  return `${ms / unitMs}${unit}`;
}

import { Problem } from '../errors/problem.ts';

/** The highest value; the lowest is its negative. Beyond it, most programs lose digits when they read JSON. */
export const VALUE_MAX = Number.MAX_SAFE_INTEGER;

/** The most characters of a name, counters on one page, and increments of one bulk request. */
export const NAME_MAX = 200;
export const PAGE_MAX = 1000;
export const BULK_MAX = 1000;

/**
 * The pattern of one character of a name. It excludes control characters and lone surrogates, which UTF-8 cannot encode.
 * It means the same without Unicode mode (as in Swagger UI), where an emoji is two surrogates.
 */
export const CHARACTER =
  '(?:[^\\u0000-\\u001f\\u007f-\\u009f\\ud800-\\udfff]|[\\ud800-\\udbff][\\udc00-\\udfff])';

/** The state of a counter at one moment: everything but its name. */
export interface CounterState {
  value: number;
  /** The lowest value that the counter may have; null: no bound but the range of all counters. */
  min: number | null;
  /** The highest value that the counter may have; null: no bound but the range of all counters. */
  max: number | null;
  /** The time from which the counter does not exist, an RFC 3339 timestamp in UTC with milliseconds; null: never. */
  expiresAt: string | null;
}

/** A state that a counter must be in; fields that are not given must be null. */
export type ExpectedState = Pick<CounterState, 'value'> & Partial<CounterState>;

/** The state of a counter after a change. */
export interface Changed extends CounterState {
  /** The value that the change replaced; null: the counter did not exist. */
  replaced: number | null;
  /** Whether the change had been made before under the same key, and was not made again. */
  replayed: boolean;
}

export interface Listing {
  /** Only names that begin with this text; by default all. */
  prefix?: string | undefined;
  /** Only names after this one: `next` of the previous page. */
  after?: string | undefined;
  /** The most counters, 1 to 1,000; 100 by default. */
  limit?: number | undefined;
}

export type NamedCounter = CounterState & { name: string };

/** A page of counters. */
export interface Page {
  counters: NamedCounter[];
  /** `after` for the next page; null: this is the last one. */
  next: string | null;
}

/** The count of one window of time. */
export interface WindowCount {
  /** When the window begins, as an RFC 3339 timestamp in UTC. */
  start: string;
  /** The sum of the increments in the window. */
  value: number;
}

/** @param ms milliseconds since 1970 */
export const timestamp = (ms: number): string => new Date(ms).toISOString();

/** A value in a message; JSON does not have all of them. */
export const shown = (value: unknown): string =>
  typeof value === 'string' ? JSON.stringify(value) : String(value);

/** @throws {Problem} `out_of_range` when a counter cannot hold the number; `invalid_request` when it is no number */
export function assertValue(field: string, value: unknown): asserts value is number {
  if (Number.isSafeInteger(value)) return;
  if (typeof value !== 'number')
    throw new Problem('invalid_request', `${field} is ${shown(value)}; allowed: a number`);
  throw new Problem(
    'out_of_range',
    `${field} is ${value}; allowed: whole numbers from -${VALUE_MAX} to ${VALUE_MAX}`,
  );
}

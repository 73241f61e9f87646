/** The highest value; the lowest is its negative. Beyond it, most programs lose digits when they read JSON. */
export const VALUE_MAX = Number.MAX_SAFE_INTEGER;

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

/** A state as selected by `STATE`: as text, since an application may have configured how the driver parses numbers. */
export interface CounterRow {
  value: string;
  min: string | null;
  max: string | null;
  /** The expiry, in milliseconds since 1970. */
  expires: string | null;
}

export const stateOf = ({ value, min, max, expires }: CounterRow): CounterState => ({
  value: Number(value),
  min: min === null ? null : Number(min),
  max: max === null ? null : Number(max),
  expiresAt: expires === null ? null : timestamp(Number(expires)),
});

/** @param ms milliseconds since 1970 */
export const timestamp = (ms: number): string => new Date(ms).toISOString();

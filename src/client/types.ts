export interface ClientOptions {
  /** The token for the service, if it requires one. */
  token?: string;
  /** The most attempts of one call, including the first; 8 by default. */
  attemptsMax?: number;
  /** How long an attempt may take, in milliseconds; 60000 by default, longer than the service needs to settle a lost commit. */
  timeoutMs?: number;
  /** The function that sends requests; by default the `fetch` of the runtime. */
  fetch?: typeof fetch;
}

export interface CallOptions {
  /** Aborts the call, which then rejects with the signal's reason. A request that was sent may have been counted. */
  signal?: AbortSignal;
}

export interface KeyedCallOptions extends CallOptions {
  /** A unique key: calls with the same key count once in total. By default, each call has a new key. */
  key?: string;
}

export interface IncrementOptions extends KeyedCallOptions {
  /** The amount to add, 1 by default; negative to subtract. */
  by?: number;
  /** Whether to add as much as the bounds allow, possibly nothing; by default all or nothing. */
  partial?: boolean;
  /** The lowest and the highest value that this increment may lead to, in addition to the counter's own bounds. */
  min?: number;
  max?: number;
  /** The increment counts in the current window of this length (`30s`, `15m`, `1h`, `7d`), and not in the counter itself. */
  window?: string;
}

/** One increment of a bulk. */
export type IncrementItem = { /** The name of the counter. */ name: string } & Pick<
  IncrementOptions,
  'by' | 'min' | 'max' | 'window'
>;

/** The count of one window of time. */
export interface WindowCount {
  /** When the window begins, as an RFC 3339 timestamp in UTC. */
  start: string;
  /** The sum of the increments in the window. */
  value: number;
}

export interface Incremented {
  /** The value after the increment. */
  value: number;
  /** The amount that was added: less than `by` only if `partial`. */
  added: number;
  /** Whether an earlier request with the same key had been counted, and this one was not counted again. */
  replayed: boolean;
}

export interface AllIncremented {
  /** The value after each increment, in their order. */
  values: number[];
  /** Whether an earlier request with the same key had been counted, and this one was not counted again. */
  replayed: boolean;
}

export interface CounterState {
  value: number;
  /** The lowest value that the counter may have; null: no bound but the range of all counters. */
  min: number | null;
  /** The highest value that the counter may have; null: no bound but the range of all counters. */
  max: number | null;
  /** The time from which the counter does not exist, an RFC 3339 timestamp in UTC; null: never. */
  expiresAt: string | null;
}

export type NamedCounter = CounterState & { name: string };

export interface Listing extends CallOptions {
  /** Only names that begin with this text; by default all. */
  prefix?: string;
  /** Only names after this one: `next` of the previous page. */
  after?: string;
  /** The most counters, 1 to 1,000; 100 by default. */
  limit?: number;
}

/** A page of counters. */
export interface Page {
  counters: NamedCounter[];
  /** `after` for the next page; null: this is the last one. */
  next: string | null;
}

/** A state that a counter must be in; fields that are not given must be null. */
export type ExpectedState = Pick<CounterState, 'value'> & Partial<CounterState>;

/** The state of a counter after a change. */
export interface Changed extends CounterState {
  /** The value that was replaced; null: the counter did not exist. */
  replaced: number | null;
  /** Whether an earlier request with the same key had made the change, and it was not made again. */
  replayed: boolean;
}

export interface ClientOptions {
  /** The token of the service, if it asks for one. */
  token?: string;
  /** Attempts of one call, the first included; 8 by default. */
  attemptsMax?: number;
  /** How long an attempt may take, in milliseconds; 20000 by default. */
  timeoutMs?: number;
  /** What sends requests; by default the runtime's own `fetch`. */
  fetch?: typeof fetch;
}

export interface CallOptions {
  /** Ends the call, which then rejects with the signal's reason. What was sent may have been counted. */
  signal?: AbortSignal;
}

export interface KeyedCallOptions extends CallOptions {
  /** A unique key, under which the increment counts once, also over several calls; by default one is made for each call. */
  key?: string;
}

export interface IncrementOptions extends KeyedCallOptions {
  /** The amount to add, 1 by default; negative to subtract. */
  by?: number;
  /** Whether to add as much as the bounds allow, possibly nothing; default: all or nothing. */
  partial?: boolean;
  /** The lowest and the highest value that this increment may lead to, besides the counter's own bounds. */
  min?: number;
  max?: number;
  /** Counts in the current window of this length (`30s`, `15m`, `1h`, `7d`), and not in the counter itself. */
  window?: string;
}

/** An increment of several. */
export type IncrementItem = { /** The counter. */ name: string } & Pick<
  IncrementOptions,
  'by' | 'min' | 'max' | 'window'
>;

/** What was counted in one window of time. */
export interface WindowCount {
  /** When the window begins, as an RFC 3339 timestamp in UTC. */
  start: string;
  value: number;
}

export interface Incremented {
  /** The value after the increment. */
  value: number;
  /** What was added: less than asked for only if `partial`. */
  added: number;
  /** Whether an attempt before had counted it already. */
  replayed: boolean;
}

export interface CounterState {
  value: number;
  /** The lowest value that it may have; null: the lowest that there is. */
  min: number | null;
  /** The highest value that it may have; null: the highest that there is. */
  max: number | null;
  /** When it ends, as an RFC 3339 timestamp in UTC: from then on it does not exist; null: never. */
  expiresAt: string | null;
}

/** A state that a counter must be in; what is not given is null there. */
export type ExpectedState = Pick<CounterState, 'value'> & Partial<CounterState>;

export interface Changed extends CounterState {
  /** The value that was replaced; null: the counter did not exist. */
  replaced: number | null;
  /** Whether an attempt before had made the change already. */
  replayed: boolean;
}

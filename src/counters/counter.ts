/** The highest value; the lowest is its negative. Beyond it JSON, as most programs read it, loses digits. */
export const VALUE_MAX = Number.MAX_SAFE_INTEGER;

/** What a counter is at a moment: all of it but the name. */
export interface CounterState {
  value: number;
  /** The lowest value that it may have; null: the lowest that there is. */
  min: number | null;
  /** The highest value that it may have; null: the highest that there is. */
  max: number | null;
  /** When it ends, as an RFC 3339 timestamp in UTC with milliseconds: from then on it does not exist; null: never. */
  expiresAt: string | null;
}

/** A state that a counter must be in; what is not given is null there. */
export type ExpectedState = Pick<CounterState, 'value'> & Partial<CounterState>;

/** What a change made of a counter. */
export interface Changed extends CounterState {
  /** The value that it replaced; null: the counter did not exist. */
  replaced: number | null;
  /** Whether the change had been made before, under the same key, and was not made again. */
  replayed: boolean;
}

/** A state as `STATE` selects it. The driver reads 64-bit integers as texts. */
export interface CounterRow {
  value: string;
  min: string | null;
  max: string | null;
  /** In milliseconds since 1970. */
  expires: string | null;
}

export const stateOf = ({ value, min, max, expires }: CounterRow): CounterState => ({
  value: Number(value),
  min: min === null ? null : Number(min),
  max: max === null ? null : Number(max),
  expiresAt: expires === null ? null : timestamp(Number(expires)),
});

/** @param ms in milliseconds since 1970 */
export const timestamp = (ms: number): string => new Date(ms).toISOString();

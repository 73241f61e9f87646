/** The highest value; the lowest is its negative. Beyond it JSON, as most programs read it, loses digits. */
export const VALUE_MAX = Number.MAX_SAFE_INTEGER;

/** What a counter is at a moment: all of it but the name. */
export interface CounterState {
  value: number;
  /** The lowest value that it may have; null: the lowest that there is. */
  min: number | null;
  /** The highest value that it may have; null: the highest that there is. */
  max: number | null;
}

/** What a change made of a counter. */
export interface Changed extends CounterState {
  /** The value that it replaced; null: the counter did not exist. */
  replaced: number | null;
  /** Whether the change had been made before, under the same key, and was not made again. */
  replayed: boolean;
}

/** A state as the database's driver has it: 64-bit integers are texts there. */
export type CounterRow = { [Field in keyof CounterState]: string | Extract<CounterState[Field], null> };

export const stateOf = ({ value, min, max }: CounterRow): CounterState => ({
  value: Number(value),
  min: min === null ? null : Number(min),
  max: max === null ? null : Number(max),
});

/** A row of the table of counters: a counter itself, or one of its windows of time. */
export interface Row {
  /** The name of the counter. */
  name: string;
  /** The length of the window, such as `15m`; empty: the counter itself. */
  period: string;
  /** When the window begins and ends, in milliseconds since 1970; 0: the counter itself. */
  start: number;
  end: number;
  /** How long the row is kept after it was created, in milliseconds; 0: until it is deleted. */
  keptMs: number;
}

/** The row of a counter itself. */
export const rowOfCounter = (name: string): Row => ({ name, period: '', start: 0, end: 0, keptMs: 0 });

/** Identifies a row in this process. Names have no control characters, so no counter has the identity of a window. */
export const idOf = ({ name, period, start }: Row): string =>
  period === '' ? name : `${period}\n${start}\n${name}`;

/**
 * The order in which every statement locks rows, so that batches, of any replica, do not deadlock. Any order would do that
 * is the same everywhere: this one is cheap to compute.
 */
export function inOrder(a: Row, b: Row): number {
  if (a.period !== b.period) return a.period < b.period ? -1 : 1;
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return a.start - b.start;
}

/** The row as it is written in messages. */
export function quotedRow({ name, period, start }: Row): string {
  const text = JSON.stringify(name);
  return period === '' ? text : `${text} in the window of ${period} from ${new Date(start).toISOString()}`;
}

import type { TimelineEntry } from '../database/timeline.ts';
import type { Increment } from './worker.ts';

/** Enough to see what happened; a race can have many thousand statements. */
const ENTRIES_MAX = 40;

/** The statements of two increments, if there is a pair to explain, and otherwise of the first ones, in time's order. */
export function timeline(
  history: readonly Increment[],
  pair?: readonly [Increment, Increment],
): TimelineEntry[] {
  const shown = pair ?? history.toSorted((a, b) => a.startedAt - b.startedAt).slice(0, ENTRIES_MAX);
  return shown
    .flatMap(({ statements }) => statements)
    .toSorted((a, b) => a.at_ms - b.at_ms)
    .slice(0, ENTRIES_MAX);
}

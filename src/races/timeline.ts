import type { TimelineEntry } from '../timeline/entry.ts';
import type { Increment } from './worker.ts';

/** The maximum number of reported statements; a race can have many thousands. */
const ENTRIES_MAX = 40;

/** The statements of the pair to explain or, without a pair, of the first increments; ordered by time. */
export function timeline(
  history: readonly Increment[],
  pair?: readonly [Increment, Increment],
): TimelineEntry[] {
  const selected = pair ?? history.toSorted((a, b) => a.startedAt - b.startedAt).slice(0, ENTRIES_MAX);
  return selected
    .flatMap(({ statements }) => statements)
    .toSorted((a, b) => a.at_ms - b.at_ms)
    .slice(0, ENTRIES_MAX);
}

import type { TimelineEntry } from '../../database/timeline.ts';

/** A row of the table `test`. */
export interface TestRow {
  id: number;
  value: number;
}

export const isRow = (row: unknown): row is TestRow =>
  typeof row === 'object' && row !== null && 'id' in row && 'value' in row;

/** Rows as `1→10 2→20`. */
export const shown = (rows: readonly unknown[]): string =>
  rows
    .filter(isRow)
    .map(({ id, value }) => `${id}→${value}`)
    .join(' ');

/**
 * What can be told from outside of a run, in one line: what each session read, for whom it waited (⏸), how many
 * rows a write touched where that is not one, and which SQLSTATE ended it (✗).
 */
export function transcript(entries: readonly TimelineEntry[]): string {
  return entries.flatMap((entry) => words(entry).map((word) => `${entry.session} ${word}`)).join(', ');
}

function words({
  sql = '',
  rows,
  row_count: count,
  blocked_by: blockedBy,
  sqlstate,
}: TimelineEntry): string[] {
  const said: string[] = [];
  if (blockedBy) said.push(`⏸ ${blockedBy.join(' ')}`);
  if (sqlstate) said.push(`✗ ${sqlstate}`);
  else if (sql.startsWith('select')) said.push(shown(rows ?? []) || 'none');
  else if (/^(insert|update|delete)/.test(sql) && count !== 1) said.push(`${sql.slice(0, 6)} ${count}`);
  return said;
}

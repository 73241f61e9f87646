import type { TimelineEntry } from '../../timeline/entry.ts';

/** A row of the table `test`. */
export interface TestRow {
  id: number;
  value: number;
}

export const isRow = (row: unknown): row is TestRow =>
  typeof row === 'object' && row !== null && 'id' in row && 'value' in row;

/** Rows as `1→10 2→20`. */
export const formatRows = (rows: readonly unknown[]): string =>
  rows
    .filter(isRow)
    .map(({ id, value }) => `${id}→${value}`)
    .join(' ');

/**
 * A run in one line: what each session read, which session it waited for (⏸), how many rows a write changed if not one,
 * and the SQLSTATE that ended it (✗).
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
  const parts: string[] = [];
  if (blockedBy) parts.push(`⏸ ${blockedBy.join(' ')}`);
  if (sqlstate) parts.push(`✗ ${sqlstate}`);
  else if (sql.startsWith('select')) parts.push(formatRows(rows ?? []) || 'none');
  else if (/^(insert|update|delete)/.test(sql) && count !== 1) parts.push(`${sql.slice(0, 6)} ${count}`);
  return parts;
}

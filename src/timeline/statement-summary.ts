/** A statement and its result. */
export interface AnsweredStatement {
  sql: string;
  rows?: readonly unknown[];
  row_count?: number;
  /** Whether it was refused. */
  failed: boolean;
}

/** A counter's column being set: `set "like" = 11`, or `set value = value + 10` with the sign in the first group. */
const ASSIGNMENT = /\bset "?(?:value|like)"? = (?:"?(?:value|like)"? (\+) )?(\d+)/i;

/**
 * Summarizes what a statement read from a counter or wrote to it: `reads 10`, `writes 11`, `tries to add 1`.
 *
 * @returns undefined for other statements, or if the values are not known
 */
export function summaryOf({
  sql,
  rows = [],
  row_count: count,
  failed,
}: AnsweredStatement): string | undefined {
  const [verb] = /^\w+/.exec(sql.toLowerCase()) ?? [];
  if (verb === 'select') return failed ? undefined : reading(sql, rows, count);
  if (verb !== 'update' && verb !== 'delete' && verb !== 'insert') return undefined;
  const [, sign, value] = ASSIGNMENT.exec(sql) ?? [];
  const act = verb !== 'update' ? verb : sign ? 'add' : 'write';
  if (!failed && count === 0) return `${act}s nothing`;
  if (value === undefined) return undefined;
  return failed ? `tries to ${act} ${value}` : `${act}s ${value}`;
}

function reading(sql: string, rows: readonly unknown[], count?: number): string | undefined {
  const verb = / for (no key )?update\b/i.test(sql) ? 'locks and reads' : 'reads';
  if (count === 0) return `${verb} nothing`;
  const values = rows.map(valueOf).filter((value) => value !== undefined);
  return values.length > 0 ? `${verb} ${values.join(', ')}` : undefined;
}

function valueOf(row: unknown): number | undefined {
  const { value, like } = (row ?? {}) as { value?: unknown; like?: unknown };
  const read = value ?? like;
  return typeof read === 'number' ? read : undefined;
}

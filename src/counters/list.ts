import type { Ask } from './ask.ts';
import { type CounterRow, type CounterState, stateOf } from './counter.ts';
import { type Statement, STATES } from './statements.ts';

export interface Listing {
  /** Only names that begin with this. */
  prefix: string;
  /** Only names after this one. */
  after: string;
  /** Counters at most. */
  limit: number;
}

/** Counters in the order of the code points of their names. */
export async function list(
  ask: Ask,
  { prefix, after, limit }: Listing,
): Promise<(CounterState & { name: string })[]> {
  const pattern = `${prefix.replace(/[\\%_]/g, '\\$&')}%`;
  const rows = await ask<CounterRow & { name: string }>(LIST, [after, pattern, limit]);
  return rows.map(({ name, ...row }) => ({ name, ...stateOf(row) }));
}

/** Without a name, since the plan depends on the pattern: its beginning becomes a range of the index. */
const LIST: Statement = {
  name: '',
  text: 'select name, value, min, max from counters where name > $1 and name like $2 order by name limit $3',
};

/** Those of these that exist, in this order, as they were at one moment. */
export async function find(ask: Ask, names: readonly string[]): Promise<(CounterState & { name: string })[]> {
  const rows = await ask<CounterRow & { name: string }>(STATES, [names]);
  const found = new Map(rows.map(({ name, ...row }) => [name, { name, ...stateOf(row) }]));
  return [...new Set(names)].flatMap((name) => found.get(name) ?? []);
}

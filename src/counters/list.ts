import { Problem } from '../errors/problem.ts';
import type { Ask } from './ask.ts';
import {
  type CounterRow,
  type Listing,
  type NamedCounter,
  type Page,
  stateOf,
  timestamp,
  type WindowCount,
} from './counter.ts';
import { ALIVE, STATE, type Statement, STATES } from './statements.ts';
import { BUCKETS_MAX, bucketsOf } from './windows.ts';

/** @returns counters in the order of the code points of their names */
export async function list(ask: Ask, { prefix = '', after = '', limit = 100 }: Listing): Promise<Page> {
  const pattern = `${prefix.replace(/[\\%_]/g, '\\$&')}%`;
  // One more than asked for says whether there is another page.
  const rows = await ask<CounterRow & { name: string }>(LIST, [after, pattern, limit + 1]);
  const counters = rows.slice(0, limit).map(({ name, ...row }) => ({ name, ...stateOf(row) }));
  return { counters, next: rows.length > limit ? (counters.at(-1)?.name ?? null) : null };
}

/** Has no name, so that it is planned each time for its pattern: the prefix becomes a range of the index. */
const LIST: Statement = {
  name: '',
  // The names of buckets begin with a control character: they sort before a space, the first character of any name.
  text: `select c.name, ${STATE} from counters as c
         where c.name > $1 and c.name >= ' ' and c.name like $2 and ${ALIVE} order by c.name limit $3`,
};

/** Returns those of the named counters that exist, in the order of the names, all as of one moment. */
export async function find(ask: Ask, names: readonly string[]): Promise<NamedCounter[]> {
  const rows = await ask<CounterRow & { name: string }>(STATES, [names]);
  const found = new Map(rows.map(({ name, ...row }) => [name, { name, ...stateOf(row) }]));
  return [...new Set(names)].flatMap((name) => found.get(name) ?? []);
}

/**
 * Returns the counts of the last windows of a counter, the current one first, all as of one moment.
 *
 * @throws {Problem} `invalid_request` when the window is not valid, or when more windows are requested than are kept
 */
export async function windowCounts(
  ask: Ask,
  { name, window, last }: { name: string; window: string; last: number },
): Promise<WindowCount[]> {
  if (!Number.isInteger(last) || last < 1 || last > BUCKETS_MAX)
    throw new Problem('invalid_request', `last is ${last}; allowed: 1 to ${BUCKETS_MAX} windows`);
  const buckets = bucketsOf(name, window, Date.now(), last);
  const found = await find(
    ask,
    buckets.map((bucket) => bucket.name),
  );
  const values = new Map(found.map((bucket) => [bucket.name, bucket.value]));
  return buckets.map((bucket) => ({ start: timestamp(bucket.start), value: values.get(bucket.name) ?? 0 }));
}

import type { Client } from 'pg';
import type { CounterState } from '../../src/counters/counter.ts';
import { type Row, rowOfCounter } from '../../src/counters/row.ts';
import { windowAt } from '../../src/counters/windows.ts';
import { isWindow, type ModelRow, placeOf } from './bounds-model.ts';

/** The place of the model that a row has. */
export const placeOfRow = ({ name, period }: Pick<Row, 'name' | 'period'>): string =>
  placeOf({ name, ...(period === '' ? {} : { window: period }) });

/** The row of a place: a counter, or its window at this time. */
export function rowOf(place: string, at: number): Row {
  if (!isWindow(place)) return rowOfCounter(place);
  const i = place.lastIndexOf(' by ');
  return windowAt(place.slice(0, i), place.slice(i + ' by '.length), at);
}

const startOf = ({ period, start }: Row) => (period === '' ? '-infinity' : new Date(start).toISOString());

/** The table has these rows, and no others. */
export async function replaceRows(
  client: Client,
  rows: ReadonlyMap<string, ModelRow>,
  at: number,
): Promise<void> {
  const all = [...rows].map(([place, row]) => ({ at: rowOf(place, at), row }));
  await client.query('delete from safe_counters.counters');
  await client.query(
    `insert into safe_counters.counters
     select * from unnest($1::text[], $2::text[], $3::timestamptz[], $4::bigint[], $5::bigint[], $6::bigint[], $7::timestamptz[])`,
    [
      all.map(({ at: { period } }) => period),
      all.map(({ at: { name } }) => name),
      all.map((one) => startOf(one.at)),
      ...(['value', 'min', 'max'] as const).map((field) => all.map(({ row }) => row[field])),
      all.map(({ row: { expiresAt } }) => (expiresAt === null ? null : new Date(expiresAt))),
    ],
  );
}

const numberOf = (text: string | null) => (text === null ? null : Number(text));

/** The rows that have not expired, by their places. The expiry of windows is left out: it depends on two clocks. */
export async function rowsIn(client: Client): Promise<Map<string, ModelRow>> {
  const { rows } = await client.query<
    Pick<Row, 'period' | 'name'> & Record<keyof CounterState, string | null>
  >(
    `select period, name, value, min, max, extract(epoch from exists_until) * 1000 as "expiresAt"
     from safe_counters.counters where (exists_until <= now()) is not true`,
  );
  return new Map(
    rows.map(({ period, name, value, min, max, expiresAt }) => [
      placeOfRow({ period, name }),
      {
        value: Number(value),
        min: numberOf(min),
        max: numberOf(max),
        expiresAt: period === '' ? numberOf(expiresAt) : null,
      },
    ]),
  );
}

/** The rows of a model as `rowsIn` returns those of the table. */
export const rowsOfModel = (rows: ReadonlyMap<string, ModelRow>): Map<string, ModelRow> =>
  new Map([...rows].map(([place, row]) => [place, isWindow(place) ? { ...row, expiresAt: null } : row]));

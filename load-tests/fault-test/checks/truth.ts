import { counterNamed } from '../../../src/counters/windows.ts';
import { noTruth, type Truth } from '../journal/history.ts';
import { keyOf } from '../journal/operation.ts';
import type { Postgres } from '../world/postgres.ts';

/** The number of keys per query. */
const PAGE = 50_000;

/** Reads all counters and keys directly from the database, bypassing the service and the proxies: one snapshot, in pages. */
export async function readTruth(postgres: Pick<Postgres, 'connect'>, run: string): Promise<Truth> {
  const truth = noTruth();
  const prefix = keyOf(run, 0).slice(0, -1);
  const client = await postgres.connect();
  try {
    await client.query('begin isolation level repeatable read read only');
    const counters = await client.query<{ name: string; value: string }>('select name, value from counters');
    // Each window belongs to a counter that has no row itself, so a name has one value.
    for (const { name, value } of counters.rows) truth.values.set(counterNamed(name).counter, Number(value));
    for (let after = '', full = true; full; ) {
      const { rows } = await client.query<{ key: string; values: string[] }>(
        'select key, "values" from idempotency_keys where key > $1 order by key limit $2',
        [after, PAGE],
      );
      for (const { key, values } of rows) {
        const id = key.startsWith(prefix) ? Number(key.slice(prefix.length)) : Number.NaN;
        if (Number.isSafeInteger(id)) truth.counted.set(id, values.map(Number));
        else truth.unsentKeys.push(key);
      }
      full = rows.length === PAGE;
      after = rows.at(-1)?.key ?? '';
    }
    return truth;
  } finally {
    await client.end();
  }
}

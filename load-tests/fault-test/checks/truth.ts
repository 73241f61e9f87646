import { hash } from 'node:crypto';
import type { KnownRequest } from '../../../src/counters/decide.ts';
import { noTruth, type History, type Truth } from '../journal/history.ts';
import { isKeyed, keyIdOf, keyOf } from '../journal/operation.ts';
import type { Postgres } from '../world/postgres.ts';

/** The number of keys per query. */
const PAGE = 50_000;

/** What the database stores of an idempotency key. */
export const digestOf = (key: string): Buffer => hash('sha256', key, 'buffer').subarray(0, 16);

/** Reads all counters and keys directly from the database, bypassing the service and the proxies: one snapshot, in pages. */
export async function readTruth(
  postgres: Pick<Postgres, 'connect'>,
  { run, operations }: Pick<History, 'operations'> & { run: string },
): Promise<Truth> {
  const truth = noTruth();
  const ids = new Map(
    operations.filter(isKeyed).map((one) => {
      const id = keyIdOf(one);
      return [digestOf(keyOf(run, id)).toString('hex'), id];
    }),
  );
  const client = await postgres.connect();
  try {
    await client.query('begin isolation level repeatable read read only');
    // Each window belongs to a counter that has no row itself, so a name has one value.
    const counters = await client.query<{ name: string; value: string }>(
      'select name, value from safe_counters.counters',
    );
    for (const { name, value } of counters.rows) truth.values.set(name, Number(value));
    for (let after: Buffer = Buffer.alloc(0), full = true; full; ) {
      const { rows } = await client.query<{ key: Buffer; answer: KnownRequest['answer'] }>(
        'select key, answer from safe_counters.idempotency_keys where key > $1 order by key limit $2',
        [after, PAGE],
      );
      for (const { key, answer } of rows) {
        const id = ids.get(key.toString('hex'));
        if (id === undefined) truth.unsentKeys.push(key.toString('hex'));
        else truth.counted.set(id, valuesOf(answer));
      }
      full = rows.length === PAGE;
      after = rows.at(-1)?.key ?? after;
    }
    return truth;
  } finally {
    await client.end();
  }
}

/** The values that a stored answer has: no operation with a key changes or deletes a counter. */
const valuesOf = (answer: KnownRequest['answer']): number[] =>
  'value' in answer ? [answer.value] : ((answer.values ?? []) as number[]);

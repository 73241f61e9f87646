import { randomUUID } from 'node:crypto';
import t from 'tap';
import { compose } from '../../src/counters/batch.ts';
import { Statistics } from '../../src/counters/statistics.ts';
import { CounterStore } from '../../src/counters/store.ts';
import { testClient, testDatabase, until } from '../helper.ts';

t.test('a batch with keys does not keep the plan for an empty table when the table has grown', async (t) => {
  const databaseUrl = await testDatabase(t);
  const client = await testClient(t, databaseUrl);
  // Statistics of the empty tables: the plan for them scans all rows.
  await client.query('vacuum analyze idempotency_keys');
  // One connection, and so one plan for each statement.
  const queue = { last: Promise.resolve<unknown>(undefined) };
  const query = (statement: object) => {
    const result = queue.last.then(() => client.query(statement as { text: string }));
    queue.last = result.catch(() => {});
    return result;
  };
  const store = new CounterStore({ query } as never, { keyHours: 24, lockMsMax: 5000 });
  const writer = randomUUID();
  await store.register(writer);
  let seq = 0;
  const write = (count: number) => {
    const increments = [{ name: 'likes', by: 1 }];
    const requests = Array.from({ length: count }, () => ({
      increments,
      key: randomUUID(),
      fingerprint: 'f',
    }));
    seq += 1;
    return store.write(compose(requests), { writer, seq });
  };
  const plan = async () => {
    const [prepared] = (
      await query({ text: `select name from pg_prepared_statements where name ~ '^write-keyed'` })
    ).rows;
    const { rows } = await query({
      text: `explain execute "${prepared.name}"
        (null, 1, '1s', '{a}', '{1}', '{1}', '{1}', null, null, null, '{k}', '{f}', '{a}', '{0}', 24)`,
    });
    return rows.map((row: Record<string, string>) => row['QUERY PLAN']).join('\n');
  };
  // PostgreSQL keeps one plan from the sixth execution on.
  for (let i = 0; i < 6; i += 1) await write(2);
  t.match(await plan(), /Seq Scan on idempotency_keys/);
  for (let i = 0; i < 20; i += 1) await write(100);
  await until(async () => !/Seq Scan on idempotency_keys/.test(await plan()));
  t.match(await plan(), /idempotency_keys_pkey/);
});

t.test(
  'statistics are refreshed after 1,000 rows, and then whenever as many rows have been added',
  async (t) => {
    let refreshes = 0;
    const statistics = new Statistics(async () => {
      refreshes += 1;
    });
    const write = async (rows: number) => {
      statistics.wrote(rows);
      await new Promise(setImmediate);
      return refreshes;
    };
    t.equal(await write(999), 0);
    t.equal(await write(1), 1);
    t.equal(await write(999), 1);
    t.equal(await write(1), 2);
    t.equal(await write(1999), 2);
    t.equal(await write(1), 3);
    const now = performance.now();
    t.intercept(performance, 'now', { value: () => now + 61_000 });
    t.equal(await write(1), 3, 'a busy minute has ended');
    t.intercept(performance, 'now', { value: () => now + 122_000 });
    t.equal(await write(999), 3, 'a quiet minute has ended: it begins again');
    t.equal(await write(1), 4);
  },
);

t.test('an error of a refresh is ignored, and the next one takes place', async (t) => {
  let refreshes = 0;
  const statistics = new Statistics(async () => {
    refreshes += 1;
    throw new Error('no answer');
  });
  statistics.wrote(1000);
  await new Promise(setImmediate);
  statistics.wrote(1000);
  await new Promise(setImmediate);
  t.equal(refreshes, 2);
});

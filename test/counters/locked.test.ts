import type { Client } from 'pg';
import t, { type Test } from 'tap';
import type { IncrementRequest } from '../../src/counters/request.ts';
import { isLocked } from '../../src/counters/batch-writer.ts';
import { CounterStore } from '../../src/counters/store.ts';
import { CounterWriter, type WriterEvents, type WriterLimits } from '../../src/counters/writer.ts';
import { Problem } from '../../src/errors/problem.ts';
import { testClient, testOrm, until } from '../helper.ts';
import { slow } from '../pace.ts';

const unheard = { written: () => {}, retried: () => {}, settled: () => {}, replayed: () => {} };

const one = (name: string, by = 1, key?: string): IncrementRequest => ({ increments: [{ name, by }], key });

const ended = (writer: CounterWriter, request: IncrementRequest) =>
  writer.submit(request).then(
    ({ values }) => values,
    (error: unknown) => (error instanceof Problem ? error.code : String(error)),
  );

/** A writer whose patience for locks is short, and another session that can hold some. */
async function setting(
  t: Test,
  limits: WriterLimits = {},
  events: Partial<WriterEvents> = {},
  lockMsMax = 50,
) {
  const { sessions, databaseUrl } = await testOrm(t);
  const newWriter = () =>
    new CounterWriter(
      new CounterStore(sessions, { keyHours: 24, lockMsMax }),
      { ...unheard, ...events },
      limits,
    );
  const holder = await testClient(t, databaseUrl);
  const release = () => holder.query('rollback');
  return { sessions, databaseUrl, newWriter, holder, release };
}

const hold = (holder: Client, name: string) =>
  holder.query(`begin; select from counters where name = '${name}' for update`);

t.test('a locked counter holds up the requests that need it, and no other', async (t) => {
  const { newWriter, holder, release } = await setting(t);
  const writer = newWriter();
  await Promise.all(['locked', 'free'].map((name) => writer.submit(one(name))));
  await hold(holder, 'locked');
  const held = ended(writer, one('locked'));
  const both = ended(writer, { increments: [...one('free').increments, ...one('locked').increments] });
  t.strictSame(await ended(writer, one('free')), [2], 'in the same batch');
  t.strictSame(await ended(writer, one('free')), [3], 'in the next one');
  t.equal(writer.quarantined, 2);
  await release();
  const [alone, together] = await Promise.all([held, both]);
  t.strictSame(
    [alone.at(-1), together.at(-1)].toSorted((a, b) => Number(a) - Number(b)),
    [2, 3],
    'in either order',
  );
  t.equal(together[0], 4);
  t.strictSame(await ended(writer, one('locked')), [4]);
  t.equal(writer.quarantined, 0);
});

t.test(
  'what another transaction has created and not committed is found, among new neighbours, too',
  async (t) => {
    const { newWriter, holder, release } = await setting(t);
    const writer = newWriter();
    await holder.query(`begin; insert into counters values ('new', 10)`);
    const held = ended(writer, one('new'));
    const neighbours = Array.from({ length: 20 }, (_, i) => one(`neighbour ${i}`));
    const ends = await Promise.all(neighbours.map((request) => ended(writer, request)));
    t.ok(ends.every((end) => Array.isArray(end)));
    await release();
    t.strictSame(await held, [1]);
  },
);

t.test('a request for a locked counter waits as long as it may, and is then refused as busy', async (t) => {
  const { newWriter, holder, sessions, release } = await setting(t, { lockedMsMax: 200 });
  const writer = newWriter();
  await writer.submit(one('locked'));
  await hold(holder, 'locked');
  t.equal(await ended(writer, one('locked')), 'busy');
  await release();
  t.strictSame(await ended(writer, one('locked')), [2], 'a real write finds out that the lock is gone');
  const { rows } = await sessions.query({ name: 'v', text: 'select value from counters', values: [] });
  t.strictSame(rows, [{ value: '2' }]);
});

t.test(
  'a key that another transaction has used and not committed holds up its own request only',
  async (t) => {
    const { newWriter, holder, release } = await setting(t);
    const writer = newWriter();
    await holder.query(
      `begin; insert into idempotency_keys values ('key', 'x', '{1}', now() + interval '1 day')`,
    );
    await Promise.all(['a', 'b'].map((name) => writer.submit(one(name))));
    const held = ended(writer, one('a', 1, 'key'));
    t.strictSame(await ended(writer, one('b', 1, 'other')), [2]);
    await release();
    t.strictSame(await held, [2]);
  },
);

t.test('a counter that several busy writers share is never refused', async (t) => {
  const { newWriter, sessions } = await setting(t, { lockedMsMax: 20_000 });
  const writers = [newWriter(), newWriter(), newWriter()];
  const ends = await Promise.all(
    Array.from({ length: 600 }, (_, i) => ended(writers[i % 3] as CounterWriter, one('hot'))),
  );
  t.equal(ends.filter((end) => Array.isArray(end)).length, 600);
  const { rows } = await sessions.query({ name: 'v', text: 'select value from counters', values: [] });
  t.strictSame(rows, [{ value: '600' }]);
});

t.test('more requests for locked counters than may wait are refused at once', async (t) => {
  const { sessions, holder, release } = await setting(t);
  let timeouts = 0;
  const query: typeof sessions.query = (statement) =>
    sessions.query<never>(statement).catch((error) => {
      timeouts += Number(isLocked(error));
      throw error;
    });
  const store = new CounterStore({ query }, { keyHours: 24, lockMsMax: 50 });
  const writer = new CounterWriter(store, unheard, { queueMax: 3, lockedMsMax: 60_000 });
  await writer.submit(one('locked'));
  await hold(holder, 'locked');
  const held = [ended(writer, one('locked'))];
  t.strictSame(await ended(writer, one('free')), [1]);
  // The second one says that the counter is locked, and not only suspected to be.
  await until(async () => timeouts >= 2);
  for (const by of [2, 3]) held.push(ended(writer, one('locked', by)));
  t.equal(await ended(writer, one('locked')), 'busy');
  await release();
  t.strictSame(await Promise.all(held), [[2], [4], [7]]);
});

/** Creates counters in a transaction that stays open, so that their names look unused. */
const createUncommitted = (holder: Client, count: number) =>
  holder.query(`begin; insert into counters select 'new ' || i, 0 from generate_series(1, ${count}) i`);

for (const count of [30, 200])
  t.test(`a new counter beside ${count} that are not committed is written, and soon`, async (t) => {
    const { newWriter, holder, release } = await setting(t, { lockedMsMax: 300 });
    const writer = newWriter();
    await createUncommitted(holder, count);
    const held = Array.from({ length: count }, (_, i) => ended(writer, one(`new ${i + 1}`)));
    const since = performance.now();
    t.strictSame(await ended(writer, one('neighbour')), [1]);
    const ms = performance.now() - since;
    t.ok(ms < slow(500 + 10 * count), `took ${Math.round(ms)} ms`);
    t.ok(
      (await Promise.all(held)).every((end) => end === 'busy'),
      'the others are refused when their time is over',
    );
    await release();
  });

t.test('many new counters beside one that is not committed are written by a few statements', async (t) => {
  const commits: number[] = [];
  const { newWriter, holder, release } = await setting(
    t,
    {},
    { written: (increments) => commits.push(increments) },
  );
  const writer = newWriter();
  await createUncommitted(holder, 1);
  const held = ended(writer, one('new 1'));
  const ends = await Promise.all(Array.from({ length: 900 }, (_, i) => ended(writer, one(`free ${i}`))));
  t.ok(ends.every((end) => Array.isArray(end)));
  t.ok(commits.length < 40, `${commits.length} commits`);
  await release();
  t.strictSame(await held, [1]);
});

t.test('a counter that is free again has its turn before long, though many are still locked', async (t) => {
  const { newWriter, holder, release, databaseUrl } = await setting(t, {}, {}, 250);
  const writer = newWriter();
  await Promise.all(Array.from({ length: 41 }, (_, i) => writer.submit(one(`counter ${i}`))));
  const other = await testClient(t, databaseUrl);
  await hold(other, 'counter 0');
  await holder.query(`begin; select from counters where name <> 'counter 0' for update`);
  const held = Array.from({ length: 41 }, (_, i) => ended(writer, one(`counter ${i}`)));
  // All of them have been found to be locked.
  await until(async () => writer.quarantined === 41);
  await other.query('rollback');
  const since = performance.now();
  t.strictSame(await held[0], [2]);
  const ms = performance.now() - since;
  t.ok(ms < slow(2000), `took ${Math.round(ms)} ms after the release`);
  await release();
  await Promise.all(held);
});

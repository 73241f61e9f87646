import { randomUUID } from 'node:crypto';
import t from 'tap';
import { compose } from '../../src/counters/batch.ts';
import { decide } from '../../src/counters/decide.ts';
import { pendingOf } from '../../src/counters/request.ts';
import { testApp } from '../helper.ts';
import { ANY, countersOf, NEW } from './http.ts';
import { one, setUp, storeOn, writerOn } from './replica.ts';

const { sessions, databaseUrl, client } = await setUp(t);
const app = await testApp(t, { DEMOS: 'false' }, databaseUrl);
const store = storeOn(sessions, 60_000);

const { ask, get, put, add } = countersOf(app);

/** Makes a counter expire: its expiry is a millisecond ago. */
const expire = (name: string) =>
  client.query(`update safe_counters.counters set exists_until = now() - interval '1 ms' where name = $1`, [
    name,
  ]);

const LATER = '2100-01-31T12:00:00.500Z';

t.test('an expiry is set with a counter, kept by later changes, changed and removed', async (t) => {
  t.match(await put('kept', { value: 3, expires_at: '2100-01-31T13:00:00.5+01:00' }, NEW), {
    status: 201,
    body: { expires_at: LATER },
    headers: { etag: `"3:::${Date.parse(LATER)}"` },
  });
  t.match(await add('kept'), { body: { value: 4 } });
  t.strictSame((await get('kept')).body, { name: 'kept', value: 4, expires_at: LATER });
  t.match(await put('kept', { max: 9 }), { body: { max: 9, expires_at: LATER, replaced: 4 } });
  t.strictSame((await ask('GET', '/counters?prefix=kept')).body.counters, [
    { name: 'kept', value: 4, max: 9, expires_at: LATER },
  ]);
  const tag = `"4::9:${Date.parse(LATER)}"`;
  t.match(await put('kept', { value: 5 }, { 'if-match': '"4::9"' }), { status: 412 });
  t.match(await put('kept', { expires_at: '2101-01-01T00:00:00Z' }, { 'if-match': tag }), {
    status: 200,
    body: { expires_at: '2101-01-01T00:00:00.000Z' },
  });
  t.match(await put('kept', { expires_at: null }), { headers: { etag: '"4::9"' } });
  t.strictSame((await get('kept')).body, { name: 'kept', value: 4, max: 9 });
});

t.test('an expired counter does not exist for reads and preconditions', async (t) => {
  await put('gone', { value: 7, min: 5, max: 8 }, NEW);
  await expire('gone');
  t.match(await get('gone'), { status: 404 });
  t.strictSame((await ask('GET', '/counters?prefix=gone')).body.counters, []);
  t.strictSame((await ask('GET', '/counters?name=gone')).body.counters, []);
  t.match(await put('gone', { value: 1 }), { status: 412 });
  t.match(await ask('DELETE', '/counters/gone', undefined, ANY), { status: 404 });
  t.match(await put('gone', { max: 2 }, NEW), { status: 201 });
  t.strictSame((await get('gone')).body, { name: 'gone', value: 0, max: 2 });
});

t.test(
  'an increment of an expired counter counts from 0, without bounds and without an expiry',
  async (t) => {
    for (const [name, increment] of [
      ['alone', () => add('alone', { by: -1 })],
      ['keyed', () => add('keyed', { by: -1 }, { 'idempotency-key': 'fresh' })],
      ['part', () => add('part', { by: -1, partial: true })],
      ['bulk', () => ask('POST', '/increments', [{ name: 'bulk', by: -1 }, { name: 'beside' }])],
    ] as const) {
      await put(name, { value: 7, min: 5, max: 8 }, NEW);
      await expire(name);
      t.match(await increment(), { status: 200 }, name);
      t.strictSame((await get(name)).body, { name, value: -1 });
    }
    await put('zero', { value: 7, min: 5 }, NEW);
    await expire('zero');
    t.match(await add('zero', { by: 0 }), { body: { value: 0 } });
    t.strictSame((await get('zero')).body, { name: 'zero', value: 0 });
  },
);

t.test('a retry of a change with a key gets the same answer, including the expiry', async (t) => {
  const key = { 'if-none-match': '*', 'idempotency-key': 'ends' };
  for (const replayed of [undefined, 'true']) {
    t.match(await put('change', { value: 1, expires_at: LATER }, key), {
      status: 201,
      body: { expires_at: LATER },
      headers: { 'idempotency-replayed': replayed },
    });
  }
  const other = { value: 1, expires_at: '2100-01-01T00:00:00Z' };
  t.match(await put('change', other, key), { status: 422, body: { code: 'key_reused' } });
});

t.test('an invalid timestamp is refused', async (t) => {
  for (const wrong of [
    'tomorrow',
    '2100-01-01',
    '2100-01-01T00:00:00',
    '2100-13-01T00:00:00Z',
    '2100-02-29T00:00:00Z',
    '2100-01-01T24:00:00Z',
    '2016-12-31T23:59:60Z',
    '9999-12-31T23:59:59-01:00',
    '',
    1e12,
    true,
  ]) {
    t.match(
      await put('bad', { expires_at: wrong }, NEW),
      { status: 400, body: { code: 'invalid_request', detail: /expires_at.*(allowed|must be string)/ } },
      String(wrong),
    );
  }
  t.match(await put('bad', { expires_at: '1969-12-31T23:59:59Z' }, NEW), { status: 400 });
  t.match(await put('past', { expires_at: '1970-01-01T00:00:00Z' }, NEW), { status: 201 });
  t.match(await get('past'), { status: 404 });
  t.match(await get('bad'), { status: 404 });
});

t.test('expired counters, and no others, are removed in portions', async (t) => {
  await client.query('delete from safe_counters.counters');
  for (const name of ['a', 'b', 'c', 'd']) await put(name, { value: 1, expires_at: LATER }, NEW);
  for (const name of ['forever', 'stays']) await put(name, { value: 1 }, NEW);
  for (const name of ['a', 'b', 'c']) await expire(name);
  const { count, last } = await store.removeCounters(2);
  t.equal(count, 2);
  t.match(await store.removeCounters(2, last), { count: 1 });
  t.match(await store.removeCounters(2), { count: 0 });
  await put('forever', { expires_at: '2020-01-01T00:00:00Z' });
  await put('past', { expires_at: '2020-01-01T00:00:00Z' }, NEW);
  t.match(await store.removeCounters(9), { count: 2 }, 'the next round finds earlier expiries');
  const { rows } = await client.query('select name from safe_counters.counters order by name');
  t.same(rows, [{ name: 'd' }, { name: 'stays' }]);
});

t.test('each increment counts once, from 0, while expired counters are being removed', async (t) => {
  const writers = [0, 1].map(() => writerOn(sessions, { lockMsMax: 60_000 }));
  const names = Array.from({ length: 8 }, (_, i) => `racing ${i}`);
  for (let round = 0; round < 20; round += 1) {
    await client.query('delete from safe_counters.counters');
    await client.query(
      `insert into safe_counters.counters (name, value, max, exists_until)
       select name, 50, 50, now() from unnest($1::text[]) as name`,
      [names],
    );
    const removals = Array.from({ length: 5 }, () => store.removeCounters(3));
    const increments = Array.from({ length: 10 }, (_, i) =>
      writers[i % 2]?.submit({ increments: names.map((name) => ({ name, by: 1 })) }),
    );
    await Promise.all([...removals, ...increments]);
    const { rows } = await client.query('select value::int, max, exists_until from safe_counters.counters');
    t.same(
      rows,
      names.map(() => ({ value: 10, max: null, exists_until: null })),
      `round ${round}`,
    );
  }
});

t.test(
  'an increment of a counter with an expiry, and the number of its batch, update no index',
  async (t) => {
    // A separate database: other connections may report their statistics at any time after their work.
    const own = await setUp(t);
    const only = storeOn(own.sessions);
    const updateCounts = async () => {
      await own.sessions.query({ name: '', text: 'select pg_stat_force_next_flush()', values: [] });
      const { rows } = await own.client.query(
        `select relname as table, n_tup_upd::int as updates, n_tup_hot_upd::int as hot from pg_stat_user_tables
       where n_tup_upd > 0 order by relname`,
      );
      return rows as { table: string; updates: number; hot: number }[];
    };
    const writer = randomUUID();
    await only.register(writer);
    await own.client.query(
      `insert into safe_counters.counters (name, value, exists_until) values ('hot', 0, $1)`,
      [LATER],
    );
    const increment = pendingOf(one('hot'));
    const bounded = pendingOf({ increments: [{ name: 'hot', by: 1, max: 1000 }] });
    for (let seq = 1; seq <= 300; seq += 1) {
      if (seq % 3 > 0) await only.write(compose([increment]), { writer, seq });
      else await only.decide([bounded], { writer, seq }, (world) => decide([bounded], world));
    }
    const counts = await updateCounts();
    t.match(counts, [
      { table: 'counters', updates: 300 },
      { table: 'writers', updates: 300 },
    ]);
    // A page that cannot be pruned at the moment, since autovacuum analyzes the table, has no room for a new version.
    for (const { table, hot } of counts) t.ok(hot >= 297, `${table}: ${hot} of 300`);
  },
);

import { once } from 'node:events';
import { type Client, type PoolConfig, types as builtin } from 'pg';
import t, { type Test } from 'tap';
import { loadConfig } from '../../src/config.ts';
import { VALUE_MAX } from '../../src/counters/counter.ts';
import { Counters } from '../../src/counters/counters.ts';
import { migrateCounters } from '../../src/counters/migration.ts';
import { pendingOf } from '../../src/counters/request.ts';
import { statementsIn } from '../../src/counters/sql.ts';
import { TABLES_VERSION } from '../../src/counters/tables.ts';
import { driverFor } from '../../src/database/driver.ts';
import { openCounterSessions } from '../../src/database/pool.ts';
import { Sessions } from '../../src/database/sessions.ts';
import { databaseTimeouts, silent, testClient, testDatabase, testPool, until } from '../helper.ts';
import { SCHEMA, storeOn, writerOn } from './replica.ts';
import { createShadow, type Shadow } from './shadow.ts';
import { unreliable } from './unreliable.ts';

/** What the statements name of PostgreSQL; some functions are called by the syntax alone. */
function used(): Shadow {
  const texts = Object.values(statementsIn(SCHEMA)).map(({ text }) => text);
  const all = (pattern: RegExp) => [
    ...new Set(texts.flatMap((text) => [...text.matchAll(pattern)].map(([, name = '']) => name))),
  ];
  return {
    functions: [...all(/pg_catalog\.(\w+)\s*\(/g), 'extract', 'timezone', 'unnest'],
    operators: [...new Set([...all(/operator\(pg_catalog\.([^)]+)\)/g), '||', '/', '*', '<', '>'])],
    types: all(/::pg_catalog\.(\w+)/g),
  };
}

const SETTINGS = {
  search_path: 'shadow, pg_catalog',
  DateStyle: `'SQL, DMY'`,
  TimeZone: `'Asia/Kathmandu'`,
  IntervalStyle: 'sql_standard',
  array_nulls: 'off',
  bytea_output: 'escape',
  standard_conforming_strings: 'off',
  extra_float_digits: '-15',
  transform_null_equals: 'on',
  quote_all_identifiers: 'on',
  plan_cache_mode: 'force_generic_plan',
  default_transaction_isolation: 'serializable',
};

/** A database whose sessions have the settings above, and a connection from before they were set. */
async function hostileDatabase(t: Test) {
  const databaseUrl = await testDatabase(t);
  const client = await testClient(t, databaseUrl);
  await createShadow(client, used());
  const name = new URL(databaseUrl).pathname.slice(1);
  for (const [setting, value] of Object.entries(SETTINGS))
    await client.query(`alter database ${name} set ${setting} = ${value}`);
  return { databaseUrl, client };
}

/** Parsers that only text survives. */
const onlyText: PoolConfig['types'] = {
  getTypeParser: (oid, format) =>
    oid === builtin.builtins.TEXT ? builtin.getTypeParser(oid, format) : () => 'garbage',
};

const driver = (more: PoolConfig & { binary?: true }) => (t: Test, connectionString: string) =>
  new Sessions(testPool(t, { connectionString, ...more }));

const connections: Record<string, (t: Test, databaseUrl: string) => Sessions> = {
  'the driver as it is': driver({}),
  'parsers that return garbage for every type but text': driver({ types: onlyText }),
  'the binary format': driver({ binary: true }),
  'such parsers and format beside the usual settings': (t, databaseUrl) => {
    const parsed: PoolConfig & { binary?: true } = { types: onlyText, binary: true };
    const connection = { ...driverFor(databaseUrl), ...parsed };
    const sessions = openCounterSessions(connection, { config: loadConfig(databaseTimeouts()), log: silent });
    t.teardown(() => sessions.end());
    return sessions;
  },
};

const LATER = '2100-01-31T12:00:00.500Z';
const PAST = '2001-01-01T00:00:00Z';

const HIDDEN = [
  'now()',
  'statement_timestamp()',
  `set_config('a.b', 'c', true)`,
  'make_interval(secs => 1)',
  `date_trunc('day', pg_catalog.now())`,
  `to_char(pg_catalog.now(), 'YYYY')`,
  `array_to_string('{1}'::bigint[], ',')`,
  `encode(''::pg_catalog.bytea, 'hex')`,
  `cardinality('{}'::bigint[])`,
  `isfinite('infinity'::pg_catalog.timestamptz)`,
  `json_build_array('a'::pg_catalog.text, 'b'::pg_catalog.text, '1'::pg_catalog.jsonb)`,
  `jsonb_build_object('a', 1::bigint)`,
  `json_agg('1'::json)`,
  'array_agg(1::bigint)',
  'max(1)',
  'max(pg_catalog.now())',
  `unnest('{1}'::bigint[])`,
  '1::bigint = 1::bigint',
  '1::bigint <> 1',
  '1::bigint < 1::bigint',
  '1::bigint + 1::bigint',
  '1::bigint - 1::bigint',
  '1::numeric * 1.5',
  '1::pg_catalog.float8 / 1::pg_catalog.float8',
  `'a'::pg_catalog.text = 'a'`,
  `'a'::pg_catalog.text > 'a'`,
  `'a'::pg_catalog.text >= 'a'`,
  `'a'::pg_catalog.text <= 'a'`,
  `starts_with('a'::pg_catalog.text, 'a')`,
  `'a'::pg_catalog.text || 'b'::pg_catalog.text`,
  'pg_catalog.now() <= pg_catalog.now()',
  `'a'::text`,
  `'infinity'::timestamptz`,
  `''::bytea`,
  `'1'::jsonb`,
  `'(0,1)'::tid`,
  '1::float8',
  `'00000000-0000-0000-0000-000000000000'::uuid`,
];

t.test('what the statements use of PostgreSQL is hidden from these sessions', async (t) => {
  const { databaseUrl } = await hostileDatabase(t);
  const hostile = await testClient(t, databaseUrl);
  for (const [name, value] of Object.entries(SETTINGS).slice(1)) {
    const { rows } = await hostile.query(`show ${name}`);
    t.equal(Object.values(rows[0] as object)[0], value.replaceAll("'", ''), name);
  }
  for (const [expression, found] of Object.entries({
    'count(*)': '41',
    'row_number() over () from generate_series(1, 2) offset 1': '1',
  }))
    t.same(Object.values((await hostile.query(`select ${expression}`)).rows[0] as object), [found]);
  for (const expression of HIDDEN)
    await t.rejects(hostile.query(`select ${expression}`), { message: /hidden/ }, expression);
});

async function add(t: Test, counters: Counters): Promise<void> {
  // More often than PostgreSQL plans a prepared statement for its values.
  for (let i = 1; i <= 8; i += 1) {
    const options = i % 2 === 0 ? { key: `k ${i}`.replace(' ', '-') } : {};
    t.same(await counters.increment('likes', options), { value: i, added: 1, replayed: false });
    if (options.key)
      t.same(await counters.increment('likes', options), { value: i, added: 1, replayed: true });
    const bulk = ['x', 'y', 'x'].map((name) => ({ name, by: -1 }));
    const key = `bulk-${i}`;
    const values = [-2 * i + 1, -i, -2 * i];
    t.same(await counters.incrementAll(bulk, i % 3 === 0 ? { key } : {}), { values, replayed: false });
    if (i % 3 === 0) t.same(await counters.incrementAll(bulk, { key }), { values, replayed: true });
  }
  await t.rejects(counters.increment('likes', { by: 2, key: 'k-2' }), { code: 'key_reused' });
  const many = await Promise.all(
    Array.from({ length: 20 }, (_, i) => counters.increment(`m ${i % 7}`, i % 2 ? { key: `m-${i}` } : {})),
  );
  t.equal(many.length, 20);
  await t.rejects(counters.increment('likes', { by: VALUE_MAX }), { code: 'out_of_range' });
  t.same(await counters.increment('largest', { by: VALUE_MAX }), {
    value: VALUE_MAX,
    added: VALUE_MAX,
    replayed: false,
  });
  t.same(await counters.increment('largest', { by: -VALUE_MAX, key: 'l' }), {
    value: 0,
    added: -VALUE_MAX,
    replayed: false,
  });
}

async function bound(t: Test, counters: Counters): Promise<void> {
  const created = { value: 3, min: -2, max: 5, expiresAt: LATER };
  for (const replayed of [false, true])
    t.same(await counters.set('seats', created, 'missing', { key: 's' }), {
      ...created,
      replaced: null,
      replayed,
    });
  await t.rejects(counters.set('seats', { value: 1 }, 'missing'), { code: 'precondition_failed' });
  t.match(await counters.increment('seats', { by: 2 }), { value: 5 });
  await t.rejects(counters.increment('seats', { by: 1 }), {
    code: 'out_of_bounds',
    members: { value: 5, max: 5, fits: 0 },
  });
  const over = [-10, 10].map((by) => ({ name: 'seats', by }));
  await t.rejects(counters.incrementAll(over), { code: 'out_of_bounds' }, 'a partial sum');
  t.match(await counters.increment('seats', { by: -2 }), { value: 3 });
  await t.rejects(counters.incrementAll(over), { code: 'out_of_bounds' }, 'a partial sum');
  await t.rejects(
    counters.incrementAll([...over, { name: 'likes' }]),
    { code: 'out_of_bounds' },
    'of several rows',
  );
  for (const replayed of [false, true])
    t.same(await counters.increment('seats', { by: 9, partial: true, key: 'p' }), {
      value: 5,
      added: 2,
      replayed,
    });
  t.match(await counters.increment('seats', { by: -9, min: 1, partial: true }), { value: 1, added: -4 });
  await t.rejects(counters.increment('seats', { by: 1, max: 1 }), { code: 'out_of_bounds' });
  t.same(await counters.read('seats'), { ...created, value: 1 });
  const changed = { value: 0, min: null, max: 9, expiresAt: LATER };
  for (const replayed of [false, true])
    t.same(
      await counters.set('seats', { value: 0, min: null, max: 9 }, { ...created, value: 1 }, { key: 'c' }),
      { ...changed, replaced: 1, replayed },
    );
  await t.rejects(counters.set('seats', { value: 7 }, { ...changed, expiresAt: null }), {
    code: 'precondition_failed',
  });
  t.match(await counters.set('seats', { expiresAt: null }, changed), { expiresAt: null, value: 0 });
  await t.rejects(counters.delete('seats', { value: 5 }), { code: 'precondition_failed' });
  t.equal(await counters.delete('seats', { value: 0, max: 9 }), true);
  t.equal(await counters.delete('seats', 'exists'), false);
  t.match(await counters.set('offer', { value: 7, min: 7, expiresAt: PAST }, 'missing'), { value: 7 });
  t.equal(await counters.read('offer'), undefined);
  t.match(await counters.increment('offer', { by: -1 }), { value: -1 });
  t.match(await counters.read('offer'), { value: -1, min: null, expiresAt: null });
}

/** Batches of which partial sums leave the span from 0 to the sum, but not the bounds; and others. */
async function addTogether(t: Test, counters: Counters): Promise<void> {
  await counters.set('near', { value: 0, min: -3, max: 3 }, 'missing');
  const amounts = [3, -6, 4];
  for (let i = 1; i <= 7; i += 1) {
    for (const keyed of [false, true]) {
      const batch = [...amounts, -1].map((by, j) =>
        counters.increment('near', { by, ...(keyed ? { key: `n-${i}-${j}` } : {}) }),
      );
      const others = ['far', 'away'].map((name) => counters.increment(name));
      t.same(
        (await Promise.all(batch)).map(({ value }) => value),
        [3, -3, 1, 0],
      );
      t.same(
        (await Promise.all(others)).map(({ value }) => value),
        [2 * i + (keyed ? 0 : -1), 2 * i + (keyed ? 0 : -1)],
      );
    }
    t.same(
      (
        await counters.incrementAll([
          { name: 'near', by: 3 },
          { name: 'near', by: -3 },
        ])
      ).values,
      [3, 0],
    );
  }
  for (const beyond of [
    [4, -4],
    [-4, 4],
  ])
    for (const keyed of [false, true]) {
      // Refused as a whole first, since nothing was refused before.
      await counters.set('near', { value: 0 }, 'exists');
      const batch = beyond.map((by, j) =>
        counters.increment('near', { by, ...(keyed ? { key: `b${by}-${j}` } : {}) }),
      );
      const all = await Promise.allSettled([...batch, counters.increment('far')]);
      t.same(
        all.map(({ status }) => status),
        ['rejected', 'rejected', 'fulfilled'],
      );
    }
}

/** @param client removes the rows of the writers, as after days without a batch */
async function registerAgain(t: Test, counters: Counters, client: Client): Promise<void> {
  const kinds: (() => Promise<unknown>)[] = [
    () => counters.increment('again'),
    () => counters.increment('again', { key: 'again' }),
    () => counters.increment('again', { max: 99 }),
    () => counters.incrementAll([{ name: 'again' }, { name: 'again, too' }]),
  ];
  for (const kind of kinds) {
    await client.query('delete from safe_counters.writers');
    await kind();
  }
  t.match(await counters.read('again'), { value: kinds.length });
}

async function countInWindows(t: Test, counters: Counters, client: Client): Promise<void> {
  for (let i = 1; i <= 7; i += 1)
    t.match(await counters.increment('logins', { window: '365d' }), { value: i });
  t.match(await counters.increment('logins', { window: '8760h', key: 'w' }), { value: 8 });
  t.match(await counters.increment('logins', { window: '365d', key: 'w' }), { value: 8, replayed: true });
  await t.rejects(counters.increment('logins', { window: '365d', max: 8 }), {
    code: 'out_of_bounds',
    members: { name: 'logins', window: '365d', value: 8, max: 8, fits: 0 },
    retryAfterS: Number,
  });
  t.match(await counters.increment('logins', { window: '365d', max: 9, by: 4, partial: true }), {
    value: 9,
    added: 1,
  });
  const both = [
    { name: 'logins' },
    { name: 'logins', window: '365d' },
    { name: 'logins', window: '1d', max: 5 },
  ];
  t.same((await counters.incrementAll(both)).values, [1, 10, 1]);
  for (let i = 1; i <= 7; i += 1) {
    const plain = ['logins', 'logouts'].map((name) => ({ name, window: '2d' }));
    t.same((await counters.incrementAll(plain)).values, [i, i]);
  }
  t.same(
    (await counters.readWindows('logins', '365d', 3)).map(({ value }) => value),
    [10, 0, 0],
  );
  const year = 365 * 86_400_000;
  const [{ start } = { start: '' }] = await counters.readWindows('logins', '365d');
  t.equal(Date.parse(start), Date.now() - (Date.now() % year));
  const { rows } = await client.query<{ period: string; kept: number }>(
    `select period, extract(epoch from exists_until - now())::float8 as kept from safe_counters.counters where period <> ''`,
  );
  const days: Record<string, number> = { '365d': 365, '2d': 2, '1d': 1 };
  for (const { period, kept } of rows) {
    const expected = (days[period] ?? Number.NaN) * 60 * 86_400 + 600;
    t.ok(Math.abs(kept - expected) < 60, `a window of ${period} is kept for ${kept} seconds`);
  }
  t.equal(rows.length, 4);
}

async function read(t: Test, counters: Counters): Promise<void> {
  const names = ['p%', 'p_', 'p\\', `p'`, 'p"', 'pé', 'p{a,b}', 'pNULL', 'p👍'];
  t.same(
    (await counters.incrementAll(names.map((name) => ({ name })))).values,
    names.map(() => 1),
  );
  const inOrder = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const state = { value: 1, min: null, max: null, expiresAt: null };
  t.same(await counters.list({ prefix: 'p', limit: 4 }), {
    counters: inOrder.slice(0, 4).map((name) => ({ name, ...state })),
    next: inOrder[3],
  });
  t.same(
    (await counters.list({ prefix: 'p', after: inOrder[3] })).counters.map(({ name }) => name),
    inOrder.slice(4),
  );
  for (const name of ['p%', 'p_', 'p\\'])
    t.same((await counters.list({ prefix: name })).counters, [{ name, ...state }]);
  const wanted = [...names, 'absent'].toReversed();
  t.same([...(await counters.readAll(wanted)).keys()], wanted.slice(1));
  t.equal(await counters.read('absent'), undefined);
  const events = counters.watch('p%', '::1');
  const [event] = (await once(events, 'data')) as [Buffer];
  events.destroy();
  t.match(String(event), /event: value\ndata: \{"name":"p%","value":1\}/);
}

/** @param client takes a lock */
async function wait(t: Test, counters: Counters, client: Client): Promise<void> {
  await counters.incrementAll([{ name: 'held' }, { name: 'free' }]);
  await client.query(`begin; select from safe_counters.counters where name = 'held' for update`);
  const held = [counters.increment('held'), counters.increment('held', { max: 9, key: 'h' })];
  const free = [counters.increment('free'), counters.increment('free', { max: 9, key: 'f' })];
  t.same(new Set((await Promise.all(free)).map(({ value }) => value)), new Set([2, 3]));
  await until(async () => counters.load.held === 2);
  await client.query('rollback');
  t.same(new Set((await Promise.all(held)).map(({ value }) => value)), new Set([2, 3]));
}

async function settle(t: Test, sessions: Sessions): Promise<void> {
  let count = 0;
  for (const fault of ['lost after', 'lost before'])
    for (const more of [{}, { key: `settled ${fault}` }, { max: 99 }, { max: 99, key: `decided ${fault}` }]) {
      const { key, ...own } = { key: undefined, ...more };
      const writer = writerOn(unreliable(sessions, [fault]));
      count += 1;
      const request = { increments: [{ name: 'settled', by: 1, ...own }], key };
      t.match(
        await writer.submit(request),
        { values: [count], replayed: false },
        `${fault} ${Object.keys(more).join()}`,
      );
    }
}

async function removeExpired(t: Test, sessions: Sessions, client: Client): Promise<void> {
  const store = storeOn(sessions, 60_000);
  await client.query(
    `delete from safe_counters.counters; delete from safe_counters.idempotency_keys;
     insert into safe_counters.counters (name, value, exists_until)
     select 'e ' || i, 1, now() - make_interval(days => i) from generate_series(-2, 6) as i where i <> 0;
     insert into safe_counters.idempotency_keys
     select convert_to('e ' || i, 'UTF8'), '', '{"value": 1}', now() - make_interval(days => i) from generate_series(-2, 6) as i where i <> 0;
     update safe_counters.writers set written_at = now() - interval '8 days'`,
  );
  for (const remove of ['removeCounters', 'removeKeys'] as const) {
    const first = await store[remove](3);
    t.equal(first.count, 3);
    const second = await store[remove](2, first.last);
    t.equal(second.count, 2, 'the next portion begins where the first one ended');
    t.match(await store[remove](9, second.last), { count: 1 });
    t.match(await store[remove](9), { count: 0 });
  }
  await store.removeWriters();
  for (const [table, count] of [
    ['counters', 2],
    ['idempotency_keys', 2],
    ['writers', 0],
  ] as const)
    t.equal((await client.query(`select from safe_counters.${table}`)).rowCount, count, table);
}

for (const [what, open] of Object.entries(connections)) {
  t.test(`counters are right whatever the settings of their sessions, with ${what}`, async (t) => {
    const { databaseUrl, client } = await hostileDatabase(t);
    const sessions = open(t, databaseUrl);
    const counters = new Counters(sessions, { schema: SCHEMA, statementMsMax: 60_000, warn: silent.warn });
    t.teardown(() => counters.close());
    await counters.check();
    t.equal(await storeOn(sessions).version(), TABLES_VERSION);
    await add(t, counters);
    await bound(t, counters);
    await addTogether(t, counters);
    await registerAgain(t, counters, client);
    await countInWindows(t, counters, client);
    await read(t, counters);
    await wait(t, counters, client);
    await settle(t, sessions);
    await counters.close();
    await removeExpired(t, sessions, client);
  });
}

/** What a schema contains, as PostgreSQL describes it to a session that finds only its own names. */
async function contentsOf(client: Client, schema: string): Promise<string[]> {
  await client.query('set search_path = pg_catalog');
  const { rows } = await client.query<{ text: string }>(
    `select c.relname || ' ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull || ' '
            || coalesce(a.attcollation::regcollation::text, '') || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '') as text
     from pg_attribute as a join pg_class as c on c.oid = a.attrelid
     left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
     where c.relnamespace = $1::text::regnamespace and a.attnum > 0
     union all select conname || ' ' || pg_get_constraintdef(oid) from pg_constraint where connamespace = $1::text::regnamespace
     union all select relname || ' ' || coalesce(reloptions::text, '') from pg_class where relnamespace = $1::text::regnamespace
     union all select indexdef from pg_indexes where schemaname = $1::text
     union all select definition from pg_views where schemaname = $1::text`,
    [schema],
  );
  return rows.map(({ text }) => text.replaceAll(`${schema}.`, '')).toSorted();
}

t.test('the tables are the same whatever the settings of the session that creates them', async (t) => {
  const { databaseUrl, client } = await hostileDatabase(t);
  const sessions = new Sessions(testPool(t, { connectionString: databaseUrl, types: onlyText }));
  t.strictSame(await migrateCounters(sessions, 'others'), [
    'created the tables of the counters in the schema others',
  ]);
  t.strictSame(await migrateCounters(sessions, 'others'), []);
  const contents = await contentsOf(client, 'others');
  t.ok(contents.length > 20);
  t.strictSame(contents, await contentsOf(client, SCHEMA));
});

t.test('keys of an earlier version are taken over whatever the settings of the session', async (t) => {
  const { databaseUrl, client } = await hostileDatabase(t);
  await client.query(
    `create schema before;
     create table before.migration_steps (step integer);
     create table before.counters (name text, value bigint, min bigint, max bigint, expires_at timestamptz);
     create table before.idempotency_keys (key text, request text, "values" bigint[], expires_at timestamptz);
     insert into before.counters values ('a', 1), (chr(31) || '60000' || chr(31) || '120000' || chr(31) || 'a', 5);
     insert into before.idempotency_keys
     select key, rpad('', 22, 'A'), '{1,null}', now() + interval '1 day'
     from (values ('bare'), ($key$"quo\\"ted"$key$), ($key$ada "own"$key$)) as k (key)`,
  );
  const sessions = new Sessions(testPool(t, { connectionString: databaseUrl, types: onlyText }));
  await migrateCounters(sessions, 'before');
  const { rows } = await client.query(
    `select encode(key, 'hex') as key, encode(request, 'hex') as request, answer from before.idempotency_keys`,
  );
  const keys = ['bare', 'quo"ted', 'ada\nown'].map(
    (key) => pendingOf({ increments: [{ name: 'a', by: 1 }], key }).key,
  );
  const answer = { values: [1, null] };
  t.same(new Set(rows), new Set(keys.map((key) => ({ key, request: '0'.repeat(32), answer }))));
  t.strictSame((await client.query('select period, name, value from before.counters order by period')).rows, [
    { period: '', name: 'a', value: '1' },
    { period: '1m', name: 'a', value: '5' },
  ]);
});

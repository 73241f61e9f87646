import { once } from 'node:events';
import t, { type Test } from 'tap';
import { Client } from 'pg';
import { createCounters } from '../../src/library/index.ts';
import { runProgram, silent, testApp, testClient, testDatabase, until } from '../helper.ts';
import { countersOf } from './http.ts';
import { firstService, OLD_FINGERPRINT, oldLibrary, oldService } from './old-tables.ts';

const HOUR = 3_600_000;

/** A counter with bounds, a counter that expires, one that has expired, and windows. */
const data = (s: string, hour: number) => `
  insert into ${s}.counters (name, value, min, max, expires_at) values
    ('likes', 12345, null, null, null), ('tickets', 98, 0, 100, null), ('offer', 1, null, 50, '2100-01-01T00:00:00.123Z'),
    ('ended', 7, null, null, now() - interval '1 hour'),
    (chr(31) || '3600000' || chr(31) || '${hour}' || chr(31) || 'likes', 42, null, null, now() + interval '2 days'),
    (chr(31) || '60000' || chr(31) || '${hour}' || chr(31) || 'x y', 2, null, null, now() + interval '1 hour');
  insert into ${s}.idempotency_keys (key, request, "values", expires_at)
    select key, request, "values", now() + interval '1 day' from (values
      ('plain', ${OLD_FINGERPRINT('[["likes",5]]')}, '{12345}'::bigint[]),
      ('"quoted_\\"text\\""', ${OLD_FINGERPRINT('[["likes",1]]')}, '{77}'),
      ('shop plain', ${OLD_FINGERPRINT('[["likes",6]]')}, '{6}'),
      ('partial', ${OLD_FINGERPRINT('partial [["tickets",9]]')}, '{100,2}'),
      ('bulk', ${OLD_FINGERPRINT('[["a",1],["b",10],["a",-1]]')}, '{1,10,0}'),
      ('window', ${OLD_FINGERPRINT('[["likes",2,{"max":50,"window":"60m"}]]')}, '{42}'),
      ('put', ${OLD_FINGERPRINT('put ["tickets",98,0,100,"missing"]')}, '{98,0,100,null,null}')
    ) as k (key, request, "values")`;

/** A database with the tables of an earlier version, and data in them. */
async function earlier(t: Test, tables: string, schema: string) {
  const databaseUrl = await testDatabase(t, { migrated: false });
  const client = await testClient(t, databaseUrl);
  await client.query(tables);
  const hour = Math.floor(Date.now() / HOUR) * HOUR;
  await client.query(data(schema, hour));
  return { databaseUrl, client, hour };
}

async function assertAllThere(t: Test, databaseUrl: string, hour: number) {
  const app = await testApp(t, { DEMOS: 'false' }, databaseUrl);
  const { get, ask, add, put } = countersOf(app);
  t.match((await get('likes')).body, { value: 12_345 });
  t.match((await get('tickets')).body, { value: 98, min: 0, max: 100 });
  t.match((await get('offer')).body, { value: 1, max: 50, expires_at: '2100-01-01T00:00:00.123Z' });
  t.equal((await get('ended')).status, 404);
  const windows = await ask('GET', '/counters/likes/windows/60m?last=24');
  const start = new Date(hour).toISOString();
  t.match(
    windows.body.windows.find((one: { start: string }) => one.start === start),
    { value: 42 },
  );
  t.equal((await ask('GET', '/counters')).body.counters.length, 3);
  const replays: [Promise<{ body: unknown; headers: object }>, unknown][] = [
    [add('likes', { by: 5 }, { 'idempotency-key': 'plain' }), { name: 'likes', value: 12_345 }],
    [add('likes', undefined, { 'idempotency-key': 'quoted_"text"' }), { name: 'likes', value: 77 }],
    [add('likes', undefined, { 'idempotency-key': '"quoted_\\"text\\""' }), { name: 'likes', value: 77 }],
    [
      add('tickets', { by: 9, partial: true }, { 'idempotency-key': 'partial' }),
      { name: 'tickets', value: 100, added: 2 },
    ],
    [
      ask('POST', '/increments', [{ name: 'a' }, { name: 'b', by: 10 }, { name: 'a', by: -1 }], {
        'idempotency-key': 'bulk',
      }),
      [
        { name: 'a', value: 1 },
        { name: 'b', value: 10 },
        { name: 'a', value: 0 },
      ],
    ],
    [
      add('likes', { by: 2, window: '60m', max: 50 }, { 'idempotency-key': 'window' }),
      { name: 'likes', value: 42 },
    ],
    [
      put('tickets', { value: 98, min: 0, max: 100 }, { 'if-none-match': '*', 'idempotency-key': 'put' }),
      { name: 'tickets', value: 98, min: 0, max: 100 },
    ],
  ];
  for (const [answer, body] of replays) {
    const { headers, body: given } = await answer;
    t.match(headers, { 'idempotency-replayed': 'true' }, JSON.stringify(body));
    t.same(given, body);
  }
  await app.close();
}

for (const [title, tables, schema] of [
  ['the service', oldService(), 'public'],
  ['the library', oldLibrary(), 'safe_counters'],
] as const)
  t.test(`the data of an earlier version of ${title} is taken over: counters, windows, keys`, async (t) => {
    const { databaseUrl, client, hour } = await earlier(t, tables, schema);
    await assertAllThere(t, databaseUrl, hour);
    await t.resolves(assertAllThere(t, databaseUrl, hour), 'a second start changes nothing');
    const ofCaller = `select from safe_counters.idempotency_keys
      where key = substr(sha256(convert_to('shop' || chr(10) || 'plain', 'UTF8')), 1, 16)`;
    t.equal((await client.query(ofCaller)).rowCount, 1, 'the key of a caller');
    const { rows } = await client.query(
      `select relname from pg_class where relnamespace in ('public'::regnamespace, 'safe_counters'::regnamespace)
       and relkind in ('r', 'S', 'v') order by relnamespace = 'public'::regnamespace, relname`,
    );
    const names = ['counters', 'current', 'idempotency_keys', 'migrations', 'writers'];
    t.same(
      rows.map(({ relname }) => relname),
      schema === 'public' ? [...names, 'counter_receipts'] : names,
    );
  });

t.test(
  'the tables of the first version with counters are taken over, and the posts of its demonstrations',
  async (t) => {
    const databaseUrl = await testDatabase(t, { migrated: false });
    const client = await testClient(t, databaseUrl);
    await client.query(firstService());
    await client.query(`insert into counters values ('likes', 3)`);
    const app = await testApp(t, {}, databaseUrl);
    t.match((await countersOf(app).get('likes')).body, { value: 3 });
    t.match((await app.inject('/check')).json(), { like_result: 25 });
    t.match((await app.inject('/inc')).json(), { like_result: 50 });
  },
);

t.test('tables of an application with the same names stay as they are', async (t) => {
  const databaseUrl = await testDatabase(t, { migrated: false });
  const client = await testClient(t, databaseUrl);
  await client.query(
    `create table posts (id text); create table counters (name text primary key, value bigint, owner text);
     create table idempotency_keys (key text); insert into counters values ('mine', 1, 'me');
     create table mikro_orm_migrations (id serial primary key, name varchar(255), executed_at timestamptz);
     insert into mikro_orm_migrations (name) values ('Migration1'), ('20261121020000_counters')`,
  );
  const app = await testApp(t, {}, databaseUrl);
  t.match((await countersOf(app).add('mine')).body, { value: 1 });
  t.match((await app.inject('/inc')).json(), { like_result: 25 });
  t.same((await client.query('select * from public.counters')).rows, [
    { name: 'mine', value: '1', owner: 'me' },
  ]);
  t.equal((await client.query('select from public.mikro_orm_migrations')).rowCount, 2);
});

t.test("an application's own migrations remain recorded in the table that both used", async (t) => {
  const { databaseUrl, client } = await earlier(t, oldService(), 'public');
  await client.query(`insert into mikro_orm_migrations (name) values ('Migration1')`);
  const counters = await createCounters({ connectionString: databaseUrl, warn: silent.warn });
  t.match(await counters.read('likes'), { value: 12_345 });
  await counters.close();
  t.same((await client.query('select name from public.mikro_orm_migrations')).rows, [{ name: 'Migration1' }]);
});

t.test('data is not taken over while an earlier version is connected', async (t) => {
  const { databaseUrl, client } = await earlier(t, oldService(), 'public');
  const old = new Client({ connectionString: databaseUrl, application_name: 'safe-counters' });
  await old.connect();
  await t.rejects(createCounters({ connectionString: databaseUrl, warn: silent.warn }), {
    message: /an earlier version is connected .* stop all of its replicas first/,
  });
  t.equal((await client.query('select from public.counters')).rowCount, 6);
  t.same((await client.query(`select where to_regnamespace('safe_counters') is not null`)).rowCount, 0);
  // A replica that is just ending does not make the start fail.
  const starting = createCounters({ connectionString: databaseUrl, warn: silent.warn });
  await until(
    async () => (await client.query(`select from pg_locks where locktype = 'advisory'`)).rowCount === 1,
  );
  await old.end();
  await (await starting).close();
});

t.test('if both versions have data, the start says so and changes nothing', async (t) => {
  const databaseUrl = await testDatabase(t, { migrated: false });
  const client = await testClient(t, databaseUrl);
  const counters = await createCounters({ connectionString: databaseUrl, warn: silent.warn });
  await counters.increment('new');
  await counters.close();
  await client.query(oldService());
  await (await createCounters({ connectionString: databaseUrl, warn: silent.warn })).close();
  t.equal(
    (await client.query(`select where to_regclass('public.counters') is null`)).rowCount,
    1,
    'empty: removed',
  );
  await client.query(
    `drop view public.counter_receipts; drop schema safe_counters_demos cascade; ${oldService()}`,
  );
  await client.query(`insert into public.counters (name, value) values ('old', 5)`);
  await t.rejects(createCounters({ connectionString: databaseUrl, warn: silent.warn }), {
    message: /schema public, and this one has counters in safe_counters/,
  });
  t.equal((await client.query('select from public.counters')).rowCount, 1);
  const other = await createCounters({ connectionString: databaseUrl, schema: 'other', warn: silent.warn });
  t.match(await other.read('old'), { value: 5 });
  await other.close();
});

t.test(
  'a start that is killed while it takes over leaves the old tables, and the next one takes over',
  async (t) => {
    const { databaseUrl, client, hour } = await earlier(t, oldService(), 'public');
    // Another session, since a transaction sees one state of pg_stat_activity.
    const watcher = await testClient(t, databaseUrl);
    // Stopped by the lock of another transaction at different statements of the takeover.
    for (const held of ['public.counters', 'public.mikro_orm_migrations']) {
      await client.query(`begin; lock table ${held} in row share mode`);
      const program = runProgram(t, ['src/migrate.ts'], { DATABASE_URL: databaseUrl, DEMOS: 'false' });
      const blocked = `select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`;
      const waiting = await until(async () => (await watcher.query(blocked)).rows[0]);
      program.child.kill('SIGKILL');
      await once(program.child, 'close');
      await watcher.query('select pg_terminate_backend($1)', [waiting.pid]);
      await client.query('commit');
      t.equal((await client.query('select from public.counters')).rowCount, 6);
    }
    await assertAllThere(t, databaseUrl, hour);
  },
);

t.test('an earlier version that still runs cannot count after the takeover', async (t) => {
  const { databaseUrl, client } = await earlier(t, oldLibrary(), 'safe_counters');
  const add = `insert into safe_counters.counters as c (name, value, expires_at) values ('likes', 1, null)
    on conflict (name) do update set value = c.value + excluded.value`;
  await client.query(add);
  await (await createCounters({ connectionString: databaseUrl, warn: silent.warn })).close();
  await t.rejects(client.query(add));
  await t.rejects(
    client.query(`delete from safe_counters.counters as c where (c.expires_at <= now()) is not true`),
  );
  await t.rejects(
    client.query(
      `delete from safe_counters.counters where name in (select name from safe_counters.counters where expires_at < now())`,
    ),
  );
});

t.test('a start says which table was dropped, and creates none that would hide the loss', async (t) => {
  const databaseUrl = await testDatabase(t);
  const client = await testClient(t, databaseUrl);
  await client.query('drop table safe_counters.writers');
  await t.rejects(
    createCounters({ connectionString: databaseUrl }),
    /"safe_counters.writers" does not exist/,
  );
  t.same((await client.query(`select to_regclass('safe_counters.writers') as found`)).rows, [
    { found: null },
  ]);
});

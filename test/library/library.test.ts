import { defineEntity, MikroORM, p } from '@mikro-orm/postgresql';
import { type CustomTypesConfig, Pool, type PoolClient, type PoolConfig, types as builtin } from 'pg';
import t, { type Test } from 'tap';
import { CounterStore } from '../../src/counters/store.ts';
import { Sessions } from '../../src/database/sessions.ts';
import { BorrowedPool } from '../../src/library/borrowed-pool.ts';
import { createCounters } from '../../src/library/index.ts';
import { silent, testClient, testDatabase, until } from '../helper.ts';

/** An empty database, and a pool like that of an application. */
async function application(t: Test, max = 10) {
  const connectionString = await testDatabase(t, { migrated: false });
  const pool = new Pool({ connectionString, max });
  t.teardown(() => pool.end());
  return { pool, connectionString, client: await testClient(t, connectionString) };
}

const END_ALL_OTHERS = `
  select pg_terminate_backend(pid) from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid()`;

async function counters(t: Test, pool: Pool, options: object = {}) {
  const made = await createCounters({ pool, warn: silent.warn, ...options });
  t.teardown(() => made.close());
  return made;
}

t.test('counters in process support increments, keys, bulks, bounds and reads', async (t) => {
  const { pool } = await application(t);
  const likes = await counters(t, pool);
  t.same(await likes.increment('likes'), { value: 1, added: 1, replayed: false });
  t.same(await likes.increment('likes', { by: 5, key: 'k' }), { value: 6, added: 5, replayed: false });
  t.same(await likes.increment('likes', { by: 5, key: 'k' }), { value: 6, added: 5, replayed: true });
  await t.rejects(likes.increment('likes', { key: 'k' }), { code: 'key_reused' });
  t.same(await likes.incrementAll([{ name: 'a' }, { name: 'b', by: -2 }, { name: 'a' }]), [1, -2, 2]);
  t.equal(await likes.read('nothing'), undefined);
  t.same(await likes.set('tickets', { value: 2, min: 0 }, 'missing'), {
    value: 2,
    min: 0,
    max: null,
    expiresAt: null,
    replaced: null,
    replayed: false,
  });
  await t.rejects(likes.set('tickets', { value: 2 }, 'missing'), { code: 'precondition_failed' });
  await t.rejects(likes.increment('tickets', { by: -3 }), { code: 'out_of_bounds', members: { fits: -2 } });
  t.same(await likes.increment('tickets', { by: -3, partial: true, key: 'p' }), {
    value: 0,
    added: -2,
    replayed: false,
  });
  for (const replayed of [false, true]) {
    t.same(await likes.set('tickets', { max: 9 }, { value: 0, min: 0, max: null }, { key: 'room' }), {
      value: 0,
      min: 0,
      max: 9,
      expiresAt: null,
      replaced: 0,
      replayed,
    });
  }
  t.same((await likes.readAll(['tickets', 'nothing', 'b'])).get('b'), {
    value: -2,
    min: null,
    max: null,
    expiresAt: null,
  });
  t.same(await likes.read('tickets'), { value: 0, min: 0, max: 9, expiresAt: null });
});

t.test('counters in process support lists and deletion', async (t) => {
  const { pool } = await application(t);
  const likes = await counters(t, pool);
  await likes.incrementAll(['a', 'b%', 'b_', 'c'].map((name) => ({ name })));
  await likes.increment('a', { window: '1d' });
  const state = { value: 1, min: null, max: null, expiresAt: null };
  t.same(await likes.list({ limit: 2 }), {
    counters: [
      { name: 'a', ...state },
      { name: 'b%', ...state },
    ],
    next: 'b%',
  });
  t.same(
    (await likes.list({ after: 'b%' })).counters.map(({ name }) => name),
    ['b_', 'c'],
  );
  t.same(await likes.list({ prefix: 'b%' }), { counters: [{ name: 'b%', ...state }], next: null });
  await t.rejects(likes.list({ limit: 1001 }), { code: 'invalid_request', message: /1 to 1000/ });
  await t.rejects(likes.delete('c', { value: 2 }), { code: 'precondition_failed' });
  await likes.delete('c', { value: 1 });
  await likes.delete('c', { value: 1 });
  await likes.delete('a', 'exists');
  t.equal((await likes.list()).counters.length, 2);
});

t.test('counters in process support windows, bounds of an increment, and expiry', async (t) => {
  const { pool, client } = await application(t);
  const likes = await counters(t, pool);
  const limit = { window: '365d', max: 2 };
  t.match(await likes.increment('logins', limit), { value: 1 });
  t.same(await likes.incrementAll([{ name: 'logins', ...limit }, { name: 'logins' }]), [2, 1]);
  await t.rejects(likes.increment('logins', limit), {
    code: 'out_of_bounds',
    members: { name: 'logins', window: '365d', value: 2, max: 2, fits: 0 },
    retryAfterS: Number,
  });
  t.same(
    (await likes.readWindows('logins', '365d', 2)).map(({ value }) => value),
    [2, 0],
  );
  await t.rejects(likes.readWindows('logins', '1w'), { code: 'invalid_request' });
  await t.rejects(likes.readWindows('logins', '1h', 61), { code: 'invalid_request', message: /1 to 60/ });
  const expiresAt = '2100-01-01T00:00:00.000Z';
  t.match(await likes.set('offer', { value: 1, expiresAt }, 'missing'), { expiresAt });
  t.match(await likes.set('offer', { value: 2 }, { value: 1, expiresAt }), { value: 2, expiresAt });
  const once = { key: 'once' };
  for (const [expected, replayed] of [
    [{ value: 2, min: null, max: null, expiresAt }, false],
    [{ expiresAt, max: null, value: 2 }, true],
  ] as const)
    t.match(await likes.set('offer', { value: 3 }, expected, once), { value: 3, replayed });
  await t.rejects(likes.set('offer', {}, { value: 3, expiresAt: 'tomorrow' }), { code: 'invalid_request' });
  await t.rejects(likes.set('offer', {}, { value: 3, expiresAt: undefined } as never), {
    code: 'precondition_failed',
  });
  await t.rejects(likes.increment('offer', { window: ['1h'] as never }), { code: 'invalid_request' });
  await client.query(`update safe_counters.counters set expires_at = now() where name = 'offer'`);
  t.equal(await likes.read('offer'), undefined);
  t.match(await likes.increment('offer'), { value: 1 });
});

t.test('a bad name, key or number is refused, and the message says what is allowed', async (t) => {
  const { pool } = await application(t);
  const likes = await counters(t, pool);
  for (const name of ['', 'x'.repeat(201), 'a\nb', '\ud800', 7 as unknown as string])
    await t.rejects(likes.increment(name), { code: 'invalid_request', message: /1 to 200 characters/ });
  t.match(await likes.increment('👍'.repeat(200)), { value: 1 });
  await t.rejects(likes.read(''), { code: 'invalid_request' });
  await t.rejects(likes.increment('likes', { key: 'a b' }), {
    code: 'invalid_request',
    message: /^key must/,
  });
  await t.rejects(likes.increment('likes', { by: 0.5 }), { code: 'out_of_range', message: /whole numbers/ });
  await t.rejects(createCounters({ pool, schema: 'Counters;' }), { name: 'TypeError', message: /allowed/ });
  await t.rejects(createCounters({} as { pool: Pool }), { name: 'TypeError', message: /pool/ });
});

t.test(
  'the tables are in a separate schema, and the settings of the connections are unchanged',
  async (t) => {
    const { pool, client } = await application(t, 1);
    const settings = async () =>
      (await pool.query('select name, setting from pg_settings order by name')).rows;
    const before = await settings();
    const likes = await counters(t, pool, { schema: 'app_counters' });
    await likes.increment('likes', { key: 'k' });
    t.same(await settings(), before);
    const { rows } = await client.query<{ name: string }>(
      `select schemaname || '.' || tablename as name from pg_tables where schemaname !~ '^(pg_|information)' order by 1`,
    );
    t.same(
      rows.map(({ name }) => name),
      ['counters', 'counter_writers', 'idempotency_keys', 'migration_steps']
        .map((name) => `app_counters.${name}`)
        .toSorted(),
    );
    await likes.close();
    t.same((await pool.query('select 1 as one')).rows, [{ one: 1 }], 'the pool is not ended');
  },
);

t.test('several processes that start at the same time create the tables once', async (t) => {
  const { connectionString } = await application(t);
  const pools = Array.from({ length: 4 }, () => new Pool({ connectionString, max: 2 }));
  t.teardown(() => Promise.all(pools.map((pool) => pool.end())));
  const all = await Promise.all(pools.map((pool) => counters(t, pool)));
  const values = await Promise.all(all.map((one) => one.increment('likes')));
  t.same(new Set(values.map(({ value }) => value)), new Set([1, 2, 3, 4]));
});

t.test('a role without the right to create tables uses those that another role has created', async (t) => {
  const { pool, client, connectionString } = await application(t);
  const role = `guest_${process.pid}`;
  await client.query(`create role ${role} login password '${role}'`);
  t.teardown(() => client.query(`drop owned by ${role}; drop role ${role}`));
  const url = new URL(connectionString);
  url.username = role;
  url.password = role;
  const guest = new Pool({ connectionString: url.href });
  t.teardown(() => guest.end());
  await t.rejects(createCounters({ pool: guest, warn: silent.warn }), { code: '42501' });
  await counters(t, pool);
  await client.query(`grant usage on schema safe_counters to ${role}`);
  await client.query(`grant all on all tables in schema safe_counters to ${role}`);
  t.match(await (await counters(t, guest)).increment('likes'), { value: 1 });
});

t.test('broken connections lose no increment and count none twice', async (t) => {
  const { pool, client } = await application(t);
  const likes = await counters(t, pool);
  const progress = { acknowledged: 0, killed: 0, ended: false };
  const callers = Array.from({ length: 8 }, async () => {
    // On a fast machine, further ones, until enough connections were ended.
    for (let i = 0; i < 50 || (progress.killed <= 5 && i < 5000); i += 1) {
      await likes.increment('likes');
      progress.acknowledged += 1;
    }
  });
  const all = Promise.all(callers).finally(() => (progress.ended = true));
  for (let next = 20; !progress.ended; next = progress.acknowledged + 20) {
    progress.killed += (await client.query(END_ALL_OTHERS)).rowCount ?? 0;
    while (!progress.ended && progress.acknowledged < next) await new Promise(setImmediate);
  }
  await all;
  t.ok(progress.killed > 5, `${progress.killed} connections were ended`);
  t.ok(progress.acknowledged >= 400);
  // On another connection: those of the pool may just have been ended.
  const { rows } = await client.query('select value from safe_counters.counters');
  t.match(rows, [{ value: String(progress.acknowledged) }]);
});

t.test('an idle connection that breaks does not end the process', async (t) => {
  const { pool, client } = await application(t, 1);
  const warnings: string[] = [];
  const likes = await counters(t, pool, { warn: (message: string) => warnings.push(message) });
  // The first to break may be the one that removes what has expired.
  await until(async () => {
    await likes.increment('likes');
    await client.query(END_ALL_OTHERS);
    while (pool.totalCount > 0) await new Promise(setImmediate);
    return warnings.some((warning) => warning.includes('idle connection'));
  });
  t.match(await likes.increment('likes'), { added: 1 });
});

t.test('the wait for a connection is bounded, and a late connection returns to the pool', async (t) => {
  const { pool } = await application(t, 1);
  const borrowed = new BorrowedPool(pool, 20, silent.warn);
  const taken = await pool.connect();
  await t.rejects(borrowed.connect(), { message: 'no connection came free in time' });
  taken.release();
  (await borrowed.connect()).release();
  t.equal(pool.idleCount, 1);
});

t.test('counters can use the pool of MikroORM', async (t) => {
  const { connectionString } = await application(t);
  const Note = defineEntity({ name: 'Note', properties: { id: p.integer().primary() } });
  const orm = new MikroORM({ clientUrl: connectionString, entities: [Note] });
  t.teardown(() => orm.close());
  const likes = await createCounters({ orm, warn: silent.warn });
  t.match(await likes.increment('likes', { by: 2, key: 'k' }), { value: 2 });
  t.match(await likes.increment('likes', { by: 2, key: 'k' }), { value: 2, replayed: true });
  t.same(await likes.read('likes'), { value: 2, min: null, max: null, expiresAt: null });
  await likes.close();
});

t.test('a change waits at most 5 seconds for a lock, and is then refused', async (t) => {
  const { pool, client } = await application(t);
  const likes = await counters(t, pool);
  await likes.increment('locked');
  await client.query(`begin; select from safe_counters.counters where name = 'locked' for update`);
  await t.rejects(likes.set('locked', { value: 7 }, 'exists'), { code: 'busy' });
  await client.query('rollback');
  t.match(await likes.read('locked'), { value: 1 });
  const { rows } = await pool.query('show lock_timeout');
  t.match(rows, [{ lock_timeout: '0' }], 'the setting of the session is unchanged');
});

t.test('a bulk that is too large is refused, and other increments are not', async (t) => {
  const { pool } = await application(t);
  const likes = await counters(t, pool);
  const bulk = Array.from({ length: 1001 }, () => ({ name: 'sum', by: Number.MAX_SAFE_INTEGER }));
  const large = t.rejects(likes.incrementAll(bulk), { code: 'invalid_request', message: /1 to 1000/ });
  t.match(await likes.increment('neighbour'), { value: 1 });
  await large;
  await t.rejects(likes.incrementAll(bulk.slice(1)), { code: 'out_of_range' });
});

t.test('an invalid limit is refused', async (t) => {
  const { pool } = await application(t);
  for (const limit of ['keyHours', 'queueMax', 'lockedMsMax', 'settleMsMax']) {
    for (const value of [0, -1, 0.5, Number.NaN, '5', 2 ** 31])
      await t.rejects(createCounters({ pool, [limit]: value }), {
        name: 'TypeError',
        message: `${limit} is ${value}; allowed: whole numbers from 1 to 2147483647`,
      });
  }
});

/** A pool option: the driver's own parsers, but for some types. */
const parsing = (parsers: Record<number, (text: string) => unknown>): { types: CustomTypesConfig } => ({
  types: { getTypeParser: (oid, format) => parsers[oid] ?? builtin.getTypeParser(oid, format) },
});

const unparsed = (text: string) => text;
const [BOOL, INT4, INT8, JSON_TEXT, INT8S, TEXTS] = [16, 23, 20, 114, 1016, 1009] as const;

const applications: Record<string, PoolConfig & { binary?: true }> = {
  'integers as BigInt, JSON as text': parsing({ [INT4]: BigInt, [INT8]: BigInt, [JSON_TEXT]: unparsed }),
  'arrays and booleans as text': parsing({ [BOOL]: unparsed, [INT8S]: unparsed, [TEXTS]: unparsed }),
  'the binary format': { binary: true },
  'array_nulls = off': { options: '-c array_nulls=off' },
};

for (const [what, options] of Object.entries(applications)) {
  t.test(`counters work in an application with ${what}`, async (t) => {
    const { connectionString, client } = await application(t);
    const pool = new Pool({ connectionString, ...options });
    t.teardown(() => pool.end());
    const likes = await counters(t, pool);
    for (const replayed of [false, true])
      t.same(await likes.increment('likes', { by: 200, key: 'k' }), { value: 200, added: 200, replayed });
    const state = { value: 200, min: null, max: 202, expiresAt: '2100-01-01T00:00:00.000Z' };
    const { max, expiresAt } = state;
    for (const replayed of [false, true]) {
      const changed = await likes.set('likes', { max, expiresAt }, 'exists', { key: 's' });
      t.strictSame(changed, { ...state, replaced: 200, replayed });
      const made = await likes.set('made', { value: 200, max, expiresAt }, 'missing', { key: 'm' });
      t.strictSame(made, { ...state, replaced: null, replayed });
    }
    await t.rejects(likes.increment('likes', { by: 5 }), { code: 'out_of_bounds', members: { fits: 2 } });
    t.match(await likes.increment('likes', { by: 5, partial: true, key: 'p' }), { value: 202, added: 2 });
    t.strictSame(await likes.read('likes'), { ...state, value: 202 });
    t.match(await likes.set('made', { value: 2, expiresAt: null }, state), { value: 2, expiresAt: null });
    const bulk = [{ name: 'a', max: 5 }, { name: 'likes', window: '365d' }, { name: 'b' }];
    t.same(await likes.incrementAll(bulk), [1, 1, 1]);
    await t.rejects(likes.incrementAll([...bulk, { name: 'likes' }]), { code: 'out_of_bounds' });
    t.match(await likes.readWindows('likes', '365d'), [{ value: 1 }]);
    t.strictSame(
      (await likes.list()).counters.map(({ name, value }) => [name, value]),
      Object.entries({ a: 1, b: 1, likes: 202, made: 2 }),
    );
    const holder = await pool.connect();
    await holder.query(`begin; select from safe_counters.counters where name = 'a' for update`);
    const locked = likes.incrementAll([{ name: 'a' }]);
    t.match(await likes.increment('b'), { value: 2 });
    await holder.query('rollback');
    holder.release();
    t.same(await locked, [2]);
    await likes.delete('a', { value: 2 });
    t.equal(await likes.read('a'), undefined);
    await client.query(`update safe_counters.counters set expires_at = now() - interval '1 s'`);
    const store = new CounterStore(new Sessions(pool), {
      keyHours: 1,
      lockMsMax: 100,
      schema: 'safe_counters',
    });
    t.strictSame((await store.removeCounters(2)).count, 2);
  });
}

t.test('arguments of a wrong type are refused as problems', async (t) => {
  const { pool } = await application(t);
  const likes = await counters(t, pool);
  const calls: [string, () => Promise<unknown>][] = [
    ['prefix', () => likes.list({ prefix: '\0' })],
    ['after', () => likes.list({ after: 7 as never })],
    ['limit', () => likes.list({ limit: '5' as never })],
    ['expected value', () => likes.set('a', { value: 1 }, { value: 1.5 })],
    ['expected min', () => likes.set('a', { value: 1 }, { value: 3, min: Number.NaN })],
    ['names', () => likes.readAll('ok' as never)],
    ['increments', () => likes.incrementAll({} as never)],
    ['by', () => likes.increment('a', { by: '1' as never })],
  ];
  for (const [what, call] of calls)
    await t.rejects(call(), { name: 'Problem', code: /^(invalid_request|out_of_range)$/ }, what);
  await t.rejects(likes.increment('a', { by: '1' as never }), { message: 'by is "1"; allowed: a number' });
});

t.test('counters leave no listener behind, and refuse requests once they are closed', async (t) => {
  const { connectionString } = await application(t);
  const pool = new Pool({ connectionString, max: 1, connectionTimeoutMillis: 5000 });
  t.teardown(() => pool.end());
  const listeners = async () => {
    const client = await pool.connect();
    const counts = [
      client.listenerCount('error'),
      client.listenerCount('notice'),
      pool.listenerCount('error'),
    ];
    client.release();
    return counts;
  };
  let before: number[] | undefined;
  for (let i = 0; i < 3; i += 1) {
    const likes = await createCounters({ pool });
    await likes.increment('likes');
    await likes.close();
    await t.rejects(likes.increment('likes'), { code: 'shutting_down' });
    await t.rejects(likes.read('likes'), { code: 'shutting_down' });
    before ??= await listeners();
    t.same(await listeners(), before);
  }
});

t.test('a pool without a limit for connecting is warned of', async (t) => {
  const { pool, connectionString } = await application(t);
  const limited = new Pool({ connectionString, connectionTimeoutMillis: 5000 });
  t.teardown(() => limited.end());
  for (const [one, expected] of [
    [pool, [/connectionTimeoutMillis/]],
    [limited, []],
  ] as const) {
    const warnings: string[] = [];
    await counters(t, one, { warn: (message: string) => warnings.push(message) });
    t.match(warnings, expected);
    t.equal(warnings.length, expected.length);
  }
});

t.test('closing counters waits for lists, reads and changes, too', async (t) => {
  const { pool } = await application(t);
  const likes = await counters(t, pool);
  const calls = Array.from({ length: 20 }, (_, i) => [
    likes.set(`likes ${i}`, { value: i }, 'missing'),
    likes.readAll([`likes ${i}`]),
    likes.list(),
    likes.increment('likes'),
  ]).flat();
  let settled = 0;
  for (const call of calls) void call.then(() => (settled += 1));
  await likes.close();
  t.equal(settled, calls.length);
});

t.test('each of several counters on one pool is told of a broken connection', async (t) => {
  const { connectionString, client } = await application(t);
  const pool = new Pool({ connectionString, max: 1, connectionTimeoutMillis: 5000 });
  t.teardown(() => pool.end());
  const warnings: string[] = [];
  const warn = (message: string) => warnings.push(message);
  const closed = await createCounters({ pool, warn });
  const open = await createCounters({ pool, warn });
  t.teardown(() => open.close());
  await closed.close();
  await until(async () => {
    await open.increment('likes');
    await client.query(END_ALL_OTHERS);
    while (pool.totalCount > 0) await new Promise(setImmediate);
    return warnings.some((warning) => warning.includes('idle connection'));
  });
});

t.test('a client that the application released inside a transaction is not used', async (t) => {
  const { pool } = await application(t, 1);
  const likes = await counters(t, pool);
  await likes.increment('likes');
  const leaks: [string, (client: PoolClient) => unknown][] = [
    ['open', (client) => client.query('begin')],
    ['failed', (client) => client.query('begin; select 1 / 0').catch(() => {})],
    ['begun without waiting', (client) => void client.query('begin')],
    [
      'committed without waiting',
      async (client) => {
        await client.query('begin');
        void client.query('commit').catch(() => {});
      },
    ],
  ];
  for (const [i, [what, leak]] of leaks.entries()) {
    const client = await pool.connect();
    await leak(client);
    client.release();
    t.equal((await likes.increment('likes')).value, i + 2, what);
    t.equal((await likes.read('likes'))?.value, i + 2, what);
  }
});

t.test('an invalid option of one increment does not fail the others of its batch', async (t) => {
  const { pool } = await application(t);
  const likes = await counters(t, pool);
  const partial = 'maybe' as never;
  const [bad, good] = await Promise.allSettled([
    likes.increment('a', { partial }),
    likes.increment('b', { by: 2 }),
  ]);
  t.match(bad, {
    reason: { code: 'invalid_request', message: 'partial is "maybe"; allowed: true or false' },
  });
  t.match(good, { value: { value: 2 } });
});

t.test('closing ends requests that wait for a table, and closes their connections', async (t) => {
  const { pool, client } = await application(t);
  const likes = await createCounters({ pool, warn: silent.warn });
  await likes.increment('likes');
  await client.query('begin; lock table safe_counters.counters in share mode');
  const pending = likes.increment('likes').catch((error: unknown) => error);
  const changing = likes.set('likes', { value: 9 }, 'exists').catch((error: unknown) => error);
  await likes.close();
  const closed = { cause: { message: /^Connection terminated/ } };
  t.match(await pending, { code: 'outcome_unknown', cause: closed }, 'it did not wait for its time limit');
  t.match(await changing, { code: 'outcome_unknown' });
  t.equal(pool.totalCount - pool.idleCount, 0, 'no connection is in use');
});

t.test('a database whose encoding lacks characters is refused', async (t) => {
  const { client, connectionString } = await application(t);
  const name = `${new URL(connectionString).pathname.slice(1)}_latin1`;
  await client.query(`create database ${name} encoding 'LATIN1' locale 'C' template template0`);
  const pool = new Pool({ connectionString: connectionString.replace(/[^/]+$/, name) });
  t.teardown(async () => {
    await pool.end();
    await client.query(`drop database ${name} with (force)`);
  });
  await t.rejects(createCounters({ pool, warn: silent.warn }), {
    message: /encoding of the database is LATIN1/,
  });
});

import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { defineEntity, MikroORM, p } from '@mikro-orm/postgresql';
import { type CustomTypesConfig, type PoolConfig, types as builtin } from 'pg';
import t, { type Test } from 'tap';
import { type CountersOptions, createCounters } from '../../src/library/index.ts';
import { silent, testClient, testDatabase, until } from '../helper.ts';

/** An empty database, and a connection to it. */
async function database(t: Test) {
  const connectionString = await testDatabase(t, { migrated: false });
  return { connectionString, client: await testClient(t, connectionString) };
}

async function open(t: Test, options: CountersOptions) {
  const likes = await createCounters({ warn: silent.warn, ...options });
  t.teardown(() => likes.close());
  return likes;
}

/** Counters in an empty database, and a connection to it. */
async function counters(t: Test, options: object = {}) {
  const given = await database(t);
  const { connectionString } = given;
  return { ...given, likes: await open(t, { connectionString, ...options }) };
}

/** The connections to the database, except the one that asks. */
const OTHERS = 'from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()';
const END_ALL_OTHERS = `select pg_terminate_backend(pid) ${OTHERS}`;

t.test('counters in process support increments, keys, bulks, bounds and reads', async (t) => {
  const { likes } = await counters(t);
  t.same(await likes.increment('likes'), { value: 1, added: 1, replayed: false });
  t.same(await likes.increment('likes', { by: 5, key: 'k' }), { value: 6, added: 5, replayed: false });
  t.same(await likes.increment('likes', { by: 5, key: 'k' }), { value: 6, added: 5, replayed: true });
  await t.rejects(likes.increment('likes', { key: 'k' }), { code: 'key_reused' });
  const bulk = [{ name: 'a' }, { name: 'b', by: -2 }, { name: 'a' }];
  for (const replayed of [false, true])
    t.same(await likes.incrementAll(bulk, { key: '"b"' }), { values: [1, -2, 2], replayed });
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
  const { likes } = await counters(t);
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
  t.equal(await likes.delete('c', { value: 1 }), true);
  t.equal(await likes.delete('c', { value: 1 }), false);
  t.equal(await likes.delete('a', 'exists'), true);
  t.equal((await likes.list()).counters.length, 2);
});

t.test('counters in process support windows, bounds of an increment, and expiry', async (t) => {
  const { likes, client } = await counters(t);
  const limit = { window: '365d', max: 2 };
  t.match(await likes.increment('logins', limit), { value: 1 });
  t.match(await likes.incrementAll([{ name: 'logins', ...limit }, { name: 'logins' }]), { values: [2, 1] });
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
  const sameKey = { key: 'once' };
  for (const [expected, replayed] of [
    [{ value: 2, min: null, max: null, expiresAt }, false],
    [{ expiresAt, max: null, value: 2 }, true],
  ] as const)
    t.match(await likes.set('offer', { value: 3 }, expected, sameKey), { value: 3, replayed });
  await t.rejects(likes.set('offer', {}, { value: 3, expiresAt: 'tomorrow' }), { code: 'invalid_request' });
  await t.rejects(likes.set('offer', {}, { value: 3, expiresAt: undefined } as never), {
    code: 'precondition_failed',
  });
  await t.rejects(likes.increment('offer', { window: ['1h'] as never }), { code: 'invalid_request' });
  await client.query(`update safe_counters.counters set exists_until = now() where name = 'offer'`);
  t.equal(await likes.read('offer'), undefined);
  t.match(await likes.increment('offer'), { value: 1 });
});

t.test('a bad name, key or number is refused, and the message says what is allowed', async (t) => {
  const { likes } = await counters(t);
  for (const name of ['', 'x'.repeat(201), 'a\nb', '\ud800', 7 as unknown as string])
    await t.rejects(likes.increment(name), { code: 'invalid_request', message: /1 to 200 characters/ });
  t.match(await likes.increment('👍'.repeat(200)), { value: 1 });
  await t.rejects(likes.read(''), { code: 'invalid_request' });
  await t.rejects(likes.increment('likes', { key: 'a b' }), {
    code: 'invalid_request',
    message: /^the idempotency key must/,
  });
  await t.rejects(likes.increment('likes', { by: 0.5 }), { code: 'out_of_range', message: /whole numbers/ });
});

t.test('everything that counters create is in a separate schema', async (t) => {
  const { client } = await counters(t, { schema: 'app_counters' });
  const { rows } = await client.query<{ name: string }>(
    `select n.nspname || '.' || c.relname as name from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
     where n.nspname !~ '^(pg_|information)' and c.relkind <> 'i' order by 1`,
  );
  t.same(
    rows.map(({ name }) => name),
    ['counters', 'current', 'idempotency_keys', 'migrations', 'writers'].map(
      (name) => `app_counters.${name}`,
    ),
  );
});

t.test('broken connections lose no increment and count none twice', async (t) => {
  const { likes, client } = await counters(t);
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
  const { rows } = await client.query('select value from safe_counters.current');
  t.match(rows, [{ value: String(progress.acknowledged) }]);
});

t.test('an idle connection that breaks does not end the process, and is warned of', async (t) => {
  const warnings: string[] = [];
  const { likes, client } = await counters(t, { warn: (message: string) => warnings.push(message) });
  // The first to break may be the one that removes what has expired.
  await until(async () => {
    await likes.increment('likes');
    await client.query(END_ALL_OTHERS);
    return warnings.some((warning) => warning.includes('an idle connection to the database broke'));
  });
  t.match(await likes.increment('likes'), { added: 1 });
});

t.test('the schema generator of an application ignores the tables if it is told to', async (t) => {
  const { connectionString } = await counters(t);
  const Note = defineEntity({ name: 'Note', properties: { id: p.integer().primary() } });
  const changes = async (options: object) => {
    const orm = new MikroORM({ clientUrl: connectionString, entities: [Note], ...options });
    try {
      return await orm.schema.getUpdateSchemaSQL();
    } finally {
      await orm.close();
    }
  };
  // The option of docs/library.md.
  t.notMatch(await changes({ schemaGenerator: { ignoreSchema: ['safe_counters'] } }), 'safe_counters');
  t.match(await changes({}), /drop .*"safe_counters"/, 'otherwise it drops them');
});

t.test('a change waits at most 5 seconds for a lock, and is then refused', async (t) => {
  const { likes, client } = await counters(t);
  await likes.increment('locked');
  await client.query(`begin; select from safe_counters.counters where name = 'locked' for update`);
  await t.rejects(likes.set('locked', { value: 7 }, 'exists'), { code: 'busy' });
  await client.query('rollback');
  t.match(await likes.read('locked'), { value: 1 });
});

t.test('a bulk that is too large is refused, and other increments are not', async (t) => {
  const { likes } = await counters(t);
  const bulk = Array.from({ length: 1001 }, () => ({ name: 'sum', by: Number.MAX_SAFE_INTEGER }));
  const large = t.rejects(likes.incrementAll(bulk), { code: 'invalid_request', message: /1 to 1000/ });
  t.match(await likes.increment('neighbour'), { value: 1 });
  await large;
  await t.rejects(likes.incrementAll(bulk.slice(1)), { code: 'out_of_range' });
});

/** An option of connections: the driver's own parsers, but for some types. */
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
    const { connectionString, client } = await database(t);
    const likes = await open(t, { connection: { connectionString, ...options } });
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
    t.match(await likes.incrementAll(bulk), { values: [1, 1, 1] });
    await t.rejects(likes.incrementAll([...bulk, { name: 'likes' }]), { code: 'out_of_bounds' });
    t.match(await likes.readWindows('likes', '365d'), [{ value: 1 }]);
    t.strictSame(
      (await likes.list()).counters.map(({ name, value }) => [name, value]),
      Object.entries({ a: 1, b: 1, likes: 202, made: 2 }),
    );
    await client.query(`begin; select from safe_counters.counters where name = 'a' for update`);
    const locked = likes.incrementAll([{ name: 'a' }]);
    t.match(await likes.increment('b'), { value: 2 });
    await client.query('rollback');
    t.match(await locked, { values: [2] });
    t.equal(await likes.delete('a', { value: 2 }), true);
    t.equal(await likes.read('a'), undefined);
  });
}

t.test('arguments of a wrong type are refused as problems', async (t) => {
  const { likes } = await counters(t);
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

t.test('closed counters have ended their connections, and refuse requests', async (t) => {
  const { likes, client } = await counters(t);
  await Promise.all([likes.increment('likes'), likes.list(), likes.read('likes')]);
  t.ok(((await client.query(`select ${OTHERS}`)).rowCount ?? 0) > 1);
  await likes.close();
  // A backend ends shortly after its connection was closed.
  await until(async () => (await client.query(`select ${OTHERS}`)).rowCount === 0);
  for (const call of [
    () => likes.increment('likes'),
    () => likes.read('likes'),
    () => likes.delete('likes', 'exists'),
  ])
    await t.rejects(async () => await call(), { code: 'shutting_down' });
  await likes.close();
});

t.test('a server that does not answer ends the start after 5 seconds', async (t) => {
  const server = createServer((socket) => socket.on('error', () => {}));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const connectionString = `postgresql://me:secret@127.0.0.1:${port}/db`;
  await t.rejects(createCounters({ connectionString }), { message: /timeout/ });
});

t.test('closing counters waits for lists, reads and changes, too', async (t) => {
  const { likes } = await counters(t);
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

t.test('an invalid option of one increment does not fail the others of its batch', async (t) => {
  const { likes } = await counters(t);
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
  // Longer than closing waits.
  const { likes, client, connectionString } = await counters(t, { lockedMsMax: 60_000 });
  const observer = await testClient(t, connectionString);
  await likes.increment('likes');
  await client.query('begin; lock table safe_counters.counters in share mode');
  const pending = likes.increment('likes').catch((error: unknown) => error);
  await until(
    async () => (await observer.query(`select ${OTHERS} and wait_event_type = 'Lock'`)).rowCount === 1,
  );
  const changing = likes.set('likes', { value: 9 }, 'exists').catch((error: unknown) => error);
  await likes.close();
  const closed = { cause: { message: /^Connection terminated/ } };
  t.match(await pending, { code: 'outcome_unknown', cause: closed }, 'it did not wait for its time limit');
  t.match(await changing, { code: /^(shutting_down|queue_full)$/ }, 'nothing was changed');
  await client.query('rollback');
  await until(async () => (await client.query(`select ${OTHERS}`)).rowCount === 1);
  t.match((await client.query('select value from safe_counters.counters')).rows, [{ value: /^[12]$/ }]);
});

t.test('a database whose encoding lacks characters is refused', async (t) => {
  const { client, connectionString } = await database(t);
  const name = `${new URL(connectionString).pathname.slice(1)}_latin1`;
  await client.query(`create database ${name} encoding 'LATIN1' locale 'C' template template0`);
  t.teardown(() => client.query(`drop database ${name} with (force)`));
  await t.rejects(createCounters({ connectionString: connectionString.replace(/[^/]+$/, name) }), {
    message: /encoding of the database is LATIN1/,
  });
});

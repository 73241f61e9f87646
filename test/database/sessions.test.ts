import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import t from 'tap';
import { loadConfig } from '../../src/config.ts';
import { failureOf } from '../../src/database/failure.ts';
import type { Observe } from '../../src/database/observed.ts';
import { openSessions } from '../../src/database/pool.ts';
import { StatementRecord, type TimelineEntry } from '../../src/timeline/entry.ts';
import { Post } from '../../src/likes/post.ts';
import { POSTS, silent, testClient, testDatabase, testOrm, until } from '../helper.ts';
import { slow } from '../pace.ts';

/** Keeps an entry for each statement of a session. */
function recorder(): { entries: TimelineEntry[]; observe: Observe } {
  const entries: TimelineEntry[] = [];
  const observe: Observe = (sql, backendPid) => {
    const record = new StatementRecord('test', sql, backendPid, 0);
    entries.push(record.entry);
    return record;
  };
  return { entries, observe };
}

const pidOf = async (em: { execute: (sql: string) => Promise<{ pid: number }[]> }) =>
  (await em.execute('select pg_backend_pid() as pid'))[0]?.pid;

t.test('inside a session, all statements go to one backend; outside, to any', async (t) => {
  const { orm, sessions } = await testOrm(t);
  await sessions.withSession(async ({ backendPid }) => {
    const em = orm.em.fork();
    t.equal(await pidOf(em), backendPid);
    t.equal(await em.transactional((tx) => pidOf(tx)), backendPid);
    t.equal(
      await orm.em.fork().transactional((tx) => pidOf(tx)),
      backendPid,
      'another fork, the same session',
    );
  });
  const pids = await Promise.all([1, 2, 3].map(() => orm.em.fork().transactional((tx) => pidOf(tx))));
  t.equal(new Set(pids).size, 3);
});

t.test('two concurrent sessions have two backends', async (t) => {
  const { orm, sessions } = await testOrm(t);
  const both = Promise.withResolvers<void>();
  let inside = 0;
  const pids = await Promise.all(
    [1, 2].map(() =>
      sessions.withSession(async () => {
        inside += 1;
        if (inside === 2) both.resolve();
        await both.promise;
        return pidOf(orm.em.fork());
      }),
    ),
  );
  t.equal(new Set(pids).size, 2);
});

t.test('a session reports its statements and their answers', async (t) => {
  const { orm, sessions } = await testOrm(t);
  const { entries, observe } = recorder();
  await orm.em.fork().execute(`insert into ${POSTS} (pk, "like") values (1, 6)`);
  const pid = await sessions.withSession(async ({ backendPid }) => {
    await orm.em.fork().transactional((tx) => tx.findOne(Post, 1));
    await t.rejects(orm.em.fork().execute('select 1/0'));
    return backendPid;
  }, observe);
  t.match(entries, [
    { sql: 'begin', took_ms: Number, backend_pid: pid },
    { sql: /^select/, rows: [{ like: 6 }], row_count: 1 },
    { sql: 'commit' },
    { sql: 'select 1/0', sqlstate: '22012', message: 'division by zero' },
  ]);
  await sessions.withSession(() => orm.em.fork().execute('select 1'));
  t.equal(entries.length, 4, 'the next session on that connection is not reported');
});

t.test('a connection left inside a transaction does not go back to the pool', async (t) => {
  const { orm, sessions, databaseUrl } = await testOrm(t);
  const pid = await sessions.withSession(async ({ backendPid }) => {
    await orm.em.fork().begin();
    return backendPid;
  });
  t.not(await pidOf(orm.em.fork()), pid);
  const client = await testClient(t, databaseUrl);
  const open = `select from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`;
  await until(async () => (await client.query(open)).rowCount === 0);
  t.pass('nothing is idle in transaction');
});

t.test('timeouts and isolation level are set for the session', async (t) => {
  const { orm } = await testOrm(t, {
    LOCK_TIMEOUT_MS: '1234',
    STATEMENT_TIMEOUT_MS: '2345',
    IDLE_IN_TRANSACTION_TIMEOUT_MS: '3456',
    ISOLATION_LEVEL: 'repeatable read',
  });
  const setting = async (name: string) =>
    Object.values((await orm.em.fork().execute<object[]>(`show ${name}`))[0] ?? {})[0];
  t.equal(await setting('lock_timeout'), '1234ms');
  t.equal(await setting('statement_timeout'), '2345ms');
  t.equal(await setting('idle_in_transaction_session_timeout'), '3456ms');
  t.equal(await setting('transaction_isolation'), 'repeatable read');
  t.equal(await setting('application_name'), 'safe_counters');
});

const failure = (work: Promise<unknown>) => work.then(() => undefined, failureOf);

t.test('every wait is bounded: for a lock, a statement, a connection', async (t) => {
  const { orm, databaseUrl } = await testOrm(t, {
    LOCK_TIMEOUT_MS: '50',
    // Long enough to connect on a busy machine; the wait for a connection must end before a statement times out.
    STATEMENT_TIMEOUT_MS: String(slow(1000)),
    POOL_ACQUIRE_TIMEOUT_MS: String(slow(500)),
    POOL_MAX: '4',
  });
  const client = await testClient(t, databaseUrl);
  await client.query(`insert into ${POSTS} (pk) values (1)`);
  await client.query(`begin; select from ${POSTS} for update`);
  const em = () => orm.em.fork();
  t.equal(await failure(em().execute(`update ${POSTS} set "like" = 1`)), 'busy', 'a lock');
  t.equal(await failure(em().execute('select pg_sleep(9)')), 'busy', 'a statement');
  const sleepers = [1, 2, 3, 4].map(() => failure(em().execute('select pg_sleep(9)')));
  t.equal(await failure(em().execute('select 1')), 'busy', 'a connection');
  await Promise.all(sleepers);
  await client.query('rollback');
  t.equal(await failure(em().execute(`update ${POSTS} set "like" = 1`)), undefined);
});

t.test(
  'the error of a broken connection says whether the statement in flight may have been applied',
  async (t) => {
    const { orm, sessions, databaseUrl } = await testOrm(t);
    const client = await testClient(t, databaseUrl);
    await client.query(`insert into ${POSTS} (pk) values (1)`);
    const failureWhen = (statements: string[], doomed: string) =>
      sessions.withSession(async ({ backendPid }) => {
        const em = orm.em.fork();
        const running = (async () => {
          for (const sql of statements) await em.execute(sql);
          await em.execute(doomed);
        })().then(() => 'applied', failureOf);
        const busy = `select from pg_stat_activity where pid = $1 and query like '%pg_sleep%' and state = 'active'`;
        await until(async () => (await client.query(busy, [backendPid])).rowCount === 1);
        await client.query('select pg_terminate_backend($1)', [backendPid]);
        return running;
      });
    const slowly = 'where pg_sleep(60) is not null';
    t.equal(
      await failureWhen([], `update ${POSTS} set "like" = 1 ${slowly}`),
      'unknown',
      'an update outside a transaction',
    );
    t.equal(
      await failureWhen(['begin'], `update ${POSTS} set "like" = 1 ${slowly}`),
      'lost',
      'an update in a transaction',
    );
    t.equal(await failureWhen([], 'select pg_sleep(60)'), 'lost', 'a read');
    // A deferred trigger keeps the commit busy.
    await client.query(
      `create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(60); return null; end'`,
    );
    await client.query(`create constraint trigger slow after update on ${POSTS} deferrable initially deferred
                      for each row execute function slow()`);
    const commit = failureWhen(['begin', `update ${POSTS} set "like" = 1`], 'commit /* pg_sleep */');
    t.equal(await commit, 'unknown', 'a commit');
  },
);

t.test('a server that cannot be reached is unavailable, not unknown', async (t) => {
  const { orm, sessions, databaseUrl } = await testOrm(t);
  const client = await testClient(t, databaseUrl.replace(/[^/]+$/, 'postgres'));
  const name = new URL(databaseUrl).pathname.slice(1);
  await client.query(`alter database ${name} allow_connections false`);
  const seen = await failure(orm.em.fork().execute('select 1'));
  await client.query(`alter database ${name} allow_connections true`);
  t.equal(seen, 'unavailable');
  t.ok(await sessions.withSession(async ({ backendPid }) => backendPid));
});

t.test('connections that break inside transactions free their places in the pool', async (t) => {
  const { orm, databaseUrl } = await testOrm(t, {
    POOL_MAX: '4',
    POOL_ACQUIRE_TIMEOUT_MS: String(slow(1000)),
  });
  const client = await testClient(t, databaseUrl);
  const others = 'where datname = current_database() and pid <> pg_backend_pid()';
  for (let outage = 1; outage <= 3; outage += 1) {
    const work = [1, 2, 3, 4].map(() =>
      failure(orm.em.fork().transactional((tx) => tx.execute('select pg_sleep(60)'))),
    );
    const asleep = `select from pg_stat_activity ${others} and query like '%sleep%'`;
    await until(async () => (await client.query(asleep)).rowCount === 4);
    await client.query(`select pg_terminate_backend(pid) from pg_stat_activity ${others}`);
    t.strictSame(await Promise.all(work), ['lost', 'lost', 'lost', 'lost'], `outage ${outage}`);
  }
  t.equal(await failure(orm.em.fork().transactional((tx) => tx.execute('select 1'))), undefined);
});

t.test('a statement that a session did not await does not run in another session', async (t) => {
  const { orm, sessions } = await testOrm(t);
  let stray: Promise<unknown> = Promise.resolve();
  const pid = await sessions.withSession(async ({ backendPid }) => {
    const em = orm.em.fork();
    stray = em.transactional((tx) => tx.execute('select pg_sleep(0.05)'));
    stray.catch(() => {});
    await em.execute('select 1');
    return backendPid;
  });
  t.not(await pidOf(orm.em.fork()), pid, 'its connection is not given to another session');
  await t.rejects(stray, /released/, 'the stray transaction fails');
});

t.test('parallel statements are sent one after another', async (t) => {
  const { orm, sessions } = await testOrm(t);
  const { entries, observe } = recorder();
  await sessions.withSession(async () => {
    await Promise.all([1, 2, 3].map(() => orm.em.fork().execute('select pg_sleep(0.005)')));
  }, observe);
  t.equal(entries.length, 3);
  let free = 0;
  for (const { at_ms: at, took_ms: took = 0 } of entries) {
    // Both are rounded to hundredths.
    t.ok(at >= free - 0.02);
    free = at + took;
  }
});

t.test('a connection that the server closes inside a transaction frees its place in the pool', async (t) => {
  const { orm, databaseUrl } = await testOrm(t, { POOL_MAX: '4' });
  const client = await testClient(t, databaseUrl);
  // More often than the pool has places.
  for (let i = 0; i < 5; i += 1) {
    const lost = orm.em.fork().transactional(async (tx) => {
      await client.query('select pg_terminate_backend($1)', [await pidOf(tx)]);
      if (i % 2 === 0) await tx.execute('select 1');
    });
    t.ok(
      ['lost', 'unknown'].includes((await failure(lost)) ?? ''),
      i % 2 ? 'at the commit' : 'before the commit',
    );
  }
  t.ok(await pidOf(orm.em.fork()));
});

t.test('a commit that the server answers with a rollback is an error', async (t) => {
  const { orm } = await testOrm(t);
  const work = orm.em.fork().transactional(async (tx) => {
    await tx.execute(`insert into ${POSTS} (pk) values (1)`);
    await tx.execute('select 1/0').catch(() => {});
  });
  await t.rejects(work, { message: 'the commit was answered with a rollback' });
  t.strictSame(await orm.em.fork().execute(`select pk from ${POSTS}`), []);
});

t.test('where a pooler drops prepared statements, all sessions continue without them', async (t) => {
  const { orm, sessions } = await testOrm(t);
  const ask = () => sessions.query<{ one: number }>({ name: 'one', text: 'select 1 as one', values: [] });
  const all = Promise.withResolvers<void>();
  let inside = 0;
  const forgetful = [1, 2, 3].map(() =>
    sessions.withSession(async () => {
      inside += 1;
      if (inside === 3) all.resolve();
      await all.promise;
      await ask();
      await orm.em.fork().execute('deallocate all');
    }),
  );
  await Promise.all(forgetful);
  // The statement is no longer prepared on the three connections: all of them get that error at the same time.
  const answers = await Promise.all([ask(), ask(), ask()]);
  t.strictSame(
    answers.map(({ rows }) => rows[0]?.one),
    [1, 1, 1],
  );
});

t.test('a server notices within a minute that a client has vanished', async (t) => {
  const { orm } = await testOrm(t);
  const seconds = async (name: string) => (await orm.em.fork().execute(`show ${name}`))[0]?.[name];
  t.equal(await seconds('tcp_keepalives_idle'), '30');
  t.equal(await seconds('tcp_keepalives_interval'), '10');
  t.equal(await seconds('tcp_keepalives_count'), '3');
});

t.test('MikroORM gets the same connection object for the same backend', async (t) => {
  const { sessions } = await testOrm(t);
  const first = await sessions.connect();
  first.release();
  const again = await sessions.connect();
  t.equal(again, first);
  const other = await sessions.connect();
  t.not(other, first);
  again.release();
  other.release();
});

t.test('a server that stops answering on one connection is abandoned on all of them', async (t) => {
  const databaseUrl = await testDatabase(t);
  const port = Number(new URL(databaseUrl).port);
  const links: Socket[] = [];
  const network = createServer((socket) => {
    const upstream = connect(port, '127.0.0.1');
    links.push(socket, upstream);
    for (const one of [socket, upstream]) one.on('error', () => {});
    socket.pipe(upstream).pipe(socket);
  });
  await once(network.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => {
    for (const link of links) link.destroy();
    network.close();
  });
  const proxyPort = (network.address() as AddressInfo).port;
  const sessions = openSessions({
    databaseUrl: databaseUrl.replace(`:${port}/`, `:${proxyPort}/`),
    config: loadConfig({ STATEMENT_TIMEOUT_MS: '100' }),
    log: silent,
  });
  t.teardown(() => sessions.end());
  for (const connection of await Promise.all([1, 2, 3].map(() => sessions.connect()))) connection.release();
  t.equal(sessions.load.idle, 3);
  for (const link of links) link.unpipe().pause();
  const ask = { name: 'one', text: 'select 1 as one', values: [] };
  t.equal(await sessions.query(ask).catch(failureOf), 'lost');
  await until(async () => sessions.load.total === 0);
  t.strictSame((await sessions.query(ask)).rows, [{ one: 1 }]);
});

t.test('a session that was moved to a standby is closed', async (t) => {
  const { orm, sessions } = await testOrm(t);
  const pid = await sessions.withSession(async ({ backendPid }) => {
    await orm.em.fork().execute('set default_transaction_read_only = on');
    t.equal(await failure(orm.em.fork().execute(`insert into ${POSTS} (pk) values (1)`)), 'read_only');
    return backendPid;
  });
  t.not(await pidOf(orm.em.fork()), pid);
});

/** A message of the server. Source: PostgreSQL documentation, 54.7 "Message Formats". */
function message(type: string, body: string): Buffer {
  const bytes = Buffer.from(`${type}0000${body}`, 'latin1');
  bytes.writeInt32BE(bytes.length - 1, 1);
  return bytes;
}

t.test('a server that accepts and ends a connection in one packet does not end the process', async (t) => {
  const accepted = message('R', '\0\0\0\0');
  const ready = message('Z', 'I');
  const ended = message('E', 'SFATAL\0C57P01\0Mterminating connection due to administrator command\0\0');
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end(Buffer.concat([accepted, ready, ended])));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  const databaseUrl = `postgresql://me:secret@127.0.0.1:${(server.address() as AddressInfo).port}/db`;
  const sessions = openSessions({ databaseUrl, config: loadConfig({}), log: silent });
  t.teardown(() => sessions.end());
  await t.rejects(sessions.query({ name: '', text: 'select 1', values: [] }));
  await t.rejects(sessions.query({ name: '', text: 'select 1', values: [] }), 'the next one as well');
});

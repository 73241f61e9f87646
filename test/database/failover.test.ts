import { pino } from 'pino';
import t from 'tap';
import { failureOf } from '../../src/database/failure.ts';
import { runProgram, testApp, testClient, until, whenOk } from '../helper.ts';
import { ownServer } from '../own-server.ts';
import { completePostgres, promote, setReadOnly, startPair } from '../standby.ts';

const bin = await completePostgres();
const skip = bin ? false : 'pg_basebackup is not installed';

const POST = { method: 'POST', url: '/counters/likes/increments' } as const;

t.test('the service is not ready while its server is read-only, and gives the reason', async (t) => {
  const { databaseUrl } = await ownServer(t);
  const log: string[] = [];
  const logger = pino<string>({ level: 'info' }, { write: (line) => void log.push(line) });
  const app = await testApp(t, { DEMOS: 'false' }, databaseUrl, logger);
  const client = await testClient(t, databaseUrl);
  t.match((await app.inject('/metrics')).body, /^safe_counters_database_read_only 0$/m);
  await setReadOnly(client, true);
  const refused = await until(async () => {
    const answer = await app.inject('/health/ready');
    return answer.json<{ code: string }>().code === 'read_only' && answer;
  });
  t.match(refused, { statusCode: 503, headers: { 'retry-after': '2' } });
  t.match(refused.json(), { detail: /read-only/ });
  t.match((await app.inject('/metrics')).body, /^safe_counters_database_read_only 1$/m);
  t.equal((await app.inject('/health/live')).statusCode, 200);
  await setReadOnly(client, false);
  await whenOk(app);
  t.match((await app.inject('/metrics')).body, /^safe_counters_database_read_only 0$/m);
  t.equal(
    log.filter((line) => /accepts no writes: it is a standby/.test(line)).length,
    1,
    'the change is logged once',
  );
  t.equal(log.filter((line) => /accepts writes again/.test(line)).length, 1);
});

t.test('a write is answered with read_only when no writable server is found', async (t) => {
  const { databaseUrl } = await ownServer(t);
  // One for each write: a batch is retried for 5 seconds, and further ones would be refused because of their wait for it.
  const apps = await Promise.all([1, 2, 3].map(() => testApp(t, { DEMOS: 'false' }, databaseUrl)));
  t.equal((await apps[0]?.inject(POST))?.statusCode, 200);
  await setReadOnly(await testClient(t, databaseUrl), true);
  const url = '/counters/likes';
  const headers = { 'if-match': '*' };
  const writes = [
    POST,
    { method: 'PUT', url, payload: { value: 5 }, headers },
    { method: 'DELETE', url, headers },
  ] as const;
  const answers = await Promise.all(apps.map((app, i) => app.inject(writes[i] as typeof POST)));
  for (const answer of answers) {
    t.match(answer, { statusCode: 503, headers: { 'retry-after': '2' } });
    t.match(answer.json(), { code: 'read_only' });
  }
});

t.test('the first refusal by a read-only server empties the pool, idle connections included', async (t) => {
  const { databaseUrl } = await ownServer(t);
  const app = await testApp(t, { DEMOS: 'false' }, databaseUrl);
  const client = await testClient(t, databaseUrl);
  await client.query('create table notes ()');
  const { sessions } = app.database;
  const held = await Promise.all([1, 2, 3, 4].map(() => sessions.connect()));
  const [inUse, ...idle] = held;
  for (const connection of idle) connection.release();
  t.equal(sessions.load.idle, 3);
  await setReadOnly(client, true);
  const write = { name: 'write', text: 'insert into notes default values', values: [] };
  t.equal(await sessions.query(write).catch(failureOf), 'read_only');
  await until(async () => sessions.load.total === 1);
  t.equal(sessions.load.idle, 0);
  inUse?.release();
  await until(async () => sessions.load.total === 0);
  await setReadOnly(client, false);
  t.equal((await sessions.query(write)).rowCount, 1);
});

t.test('a start on a standby waits for promotion; the service survives a failover', { skip }, async (t) => {
  const { primary, standby } = await startPair(t, bin ?? '');
  const [old, next] = [await testClient(t, primary), await testClient(t, standby)];
  const both = [primary, standby].map((url) => new URL(url).host).join();
  const DATABASE_URL = `postgresql://postgres:test@${both}/postgres?target_session_attrs=read-write`;

  await t.test('a start that finds no writable server reports it in one line', async (t) => {
    const env = { DATABASE_URL: standby, PORT: '0', FAILOVER_TIMEOUT_MS: '300', LOG_LEVEL: 'error' };
    const { code, stderr } = await runProgram(t, ['src/server.ts'], env).ended;
    t.equal(code, 1);
    t.match(
      stderr.trimEnd(),
      /^cannot use the database at 127.0.0.1:\d+\/postgres as "postgres" \(DATABASE_URL\): the server is a standby, or read-only; waited 300 ms \(FAILOVER_TIMEOUT_MS\)$/,
    );
  });

  const app = await testApp(t, { DEMOS: 'false' }, DATABASE_URL);
  t.match((await app.inject(POST)).json(), { value: 1 });
  const log: string[] = [];
  const logger = pino<string>({ level: 'warn' }, { write: (line) => void log.push(line) });
  const waiting = testApp(t, { DEMOS: 'false' }, standby, logger);
  await until(async () =>
    log.some((line) => /accepts no writes yet; waiting up to 45000 ms: .*read-only/.test(line)),
  );

  await t.test('increments, reads, changes and readiness continue at the new primary', async (t) => {
    await until(
      async () => (await next.query(`select from safe_counters.current where name = 'likes'`)).rowCount === 1,
    );
    await setReadOnly(old, true);
    await promote(next);
    t.match(await app.inject(POST), { statusCode: 200 });
    t.match((await app.inject('/counters/likes')).json(), { value: 2 });
    await whenOk(app);
    const put = {
      method: 'PUT',
      url: '/counters/likes',
      payload: { value: 7 },
      headers: { 'if-match': '"2"' },
    };
    t.match((await app.inject(put as never)).json(), { value: 7 });
    t.strictSame((await next.query('select value::int from safe_counters.current')).rows, [{ value: 7 }]);
    t.strictSame((await old.query('select value::int from safe_counters.current')).rows, [{ value: 1 }]);
    const ours = `select from pg_stat_activity where application_name = 'safe_counters'`;
    await until(async () => (await old.query(ours)).rowCount === 0);
  });

  await t.test('the service that waited is ready', async (t) => {
    t.ok(await whenOk(await waiting));
  });
});

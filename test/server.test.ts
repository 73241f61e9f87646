import { once } from 'node:events';
import { connect } from 'node:net';
import t from 'tap';
import { freePort } from '../src/embedded-postgres/server.ts';
import { getJson, runProgram, startService, testClient, testDatabase, until } from './helper.ts';

t.test('what cannot be started is one clear line and exit code 1', async (t) => {
  const databaseUrl = await testDatabase(t);
  const given = new URL(databaseUrl);
  const port = await freePort();
  const wrongPassword = databaseUrl.replace(/:[^:@]+@/, ':hunter2@');
  const taken = await startService(t, { DATABASE_URL: databaseUrl });
  const cases = [
    [{ PORT: 'x' }, /^PORT is "x"; allowed: .*$/],
    [
      { DATABASE_URL: `postgresql://me:hunter2@127.0.0.1:${port}/db` },
      /^cannot use .* "me" .*ECONNREFUSED.*$/,
    ],
    [{ DATABASE_URL: wrongPassword }, /^cannot use .*password authentication failed.*$/],
    [
      { DATABASE_URL: databaseUrl.replace(given.pathname, '/missing') },
      /^cannot use .*"missing" does not exist$/,
    ],
    [{ DATABASE_URL: 'postgresql://nowhere.invalid/db' }, /^cannot use .*(ENOTFOUND|EAI_AGAIN).*$/],
    [{ DATABASE_URL: databaseUrl, PORT: new URL(taken.url).port }, /^cannot listen .*EADDRINUSE.*$/],
  ] as const;
  await Promise.all(
    cases.map(async ([env, line]) => {
      const { code, stderr } = await runProgram(t, ['src/server.ts'], { PORT: '0', ...env }).ended;
      t.equal(code, 1, stderr);
      t.match(stderr.trimEnd(), line);
      t.notMatch(stderr, 'hunter2');
    }),
  );
});

t.test('three services that start at once on an empty database all come up', async (t) => {
  const DATABASE_URL = await testDatabase(t, { migrated: false });
  const services = await Promise.all([1, 2, 3].map(() => startService(t, { DATABASE_URL })));
  const answers = await Promise.all(services.map(({ url }) => getJson(`${url}/2th-plock`)));
  t.strictSame(
    answers.map((answer) => answer.status),
    [200, 200, 200],
  );
  const client = await testClient(t, DATABASE_URL);
  const { rows } = await client.query(
    'select "like", (select count(*) = count(distinct name) as once from mikro_orm_migrations) from posts',
  );
  t.match(rows, [{ like: 150, once: true }]);
});

t.test('SIGTERM: what is in flight is answered, idle clients do not hold it up, exit code 0', async (t) => {
  const service = await startService(t, { DATABASE_URL: await testDatabase(t) });
  const { port, hostname } = new URL(service.url);
  const idle = connect({ port: Number(port), host: hostname });
  await once(idle, 'connect');
  // fetch keeps its connection alive, too.
  await getJson(`${service.url}/init`);
  const inFlight = getJson<{ acknowledged: number }>(`${service.url}/2th-plock?increments=300`);
  await until(async () => (await getJson<{ like_result: number }>(`${service.url}/check`)).like_result > 0);
  service.child.kill('SIGTERM');
  t.match(await inFlight, { status: 200, acknowledged: 600 });
  const start = performance.now();
  t.match(await service.ended, { code: 0, signal: null });
  t.ok(performance.now() - start < 5000);
  await t.rejects(fetch(`${service.url}/check`));
  idle.destroy();
});

t.test('SIGINT during a call that would take too long: it is told so, exit code 0 within 10 s', async (t) => {
  const service = await startService(t, { DATABASE_URL: await testDatabase(t) });
  await getJson(`${service.url}/init`);
  // More than can be done in the time that it has left, whatever the machine.
  const path = '/2th-plock?workers=10&increments=1000';
  const calls = Array.from({ length: 6 }, () => getJson<{ code: string }>(`${service.url}${path}`));
  await until(async () => (await getJson<{ like_result: number }>(`${service.url}/check`)).like_result > 0);
  const start = performance.now();
  service.child.kill('SIGINT');
  const answers = await Promise.all(calls);
  t.match(answers.at(-1), { status: 503, code: 'shutting_down' });
  t.ok(answers.every(({ status }) => status === 200 || status === 503));
  t.match(await service.ended, { code: 0 });
  t.ok(performance.now() - start < 10_000);
});

const likes = async (url: string) => (await getJson<{ like_result: number }>(`${url}/check`)).like_result;

t.test('two SIGINTs at once, as npm and the terminal send them, close as gracefully as one', async (t) => {
  const service = await startService(t, { DATABASE_URL: await testDatabase(t) });
  await getJson(`${service.url}/init`);
  const inFlight = getJson<{ acknowledged: number }>(`${service.url}/2th-plock?increments=200`);
  await until(async () => (await likes(service.url)) > 0);
  service.child.kill('SIGINT');
  service.child.kill('SIGINT');
  t.match(await inFlight, { status: 200, acknowledged: 400 });
  t.match(await service.ended, { code: 0, signal: null });
});

t.test('SIGTERM while the start waits for another process to migrate: exit code 0, soon', async (t) => {
  const DATABASE_URL = await testDatabase(t, { migrated: false });
  const client = await testClient(t, DATABASE_URL);
  await client.query('select pg_advisory_lock(4157112103)');
  const { child, ended } = runProgram(t, ['src/server.ts'], { PORT: '0', DATABASE_URL });
  const waiting = `select from pg_locks where locktype = 'advisory' and not granted`;
  await until(async () => (await client.query(waiting)).rowCount === 1);
  child.kill('SIGTERM');
  t.match(await ended, { code: 0, stderr: '' });
});

t.test('a client that never sends the rest of its request does not hold the end up for ever', async (t) => {
  const service = await startService(t, { DATABASE_URL: await testDatabase(t) });
  const { port, hostname } = new URL(service.url);
  const slow = connect({ port: Number(port), host: hostname });
  slow.on('error', () => {});
  slow.write(
    'POST /init HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{',
  );
  // Answered after it, so the slow one has arrived.
  await getJson(`${service.url}/check`);
  service.child.kill('SIGTERM');
  t.match(await service.ended, { code: 0 });
  slow.destroy();
});

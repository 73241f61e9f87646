import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { freePort, runningServer } from '../src/database/postgres-server.ts';
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
  const long = getJson<{ code: string }>(`${service.url}/2th-plock?workers=10&increments=1000`);
  await until(async () => (await getJson<{ like_result: number }>(`${service.url}/check`)).like_result > 0);
  const start = performance.now();
  service.child.kill('SIGINT');
  t.match(await long, { status: 503, code: 'shutting_down' });
  t.match(await service.ended, { code: 0 });
  t.ok(performance.now() - start < 10_000);
});

t.test('the embedded PostgreSQL', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'safe-counters-data-'));
  // For root: PostgreSQL runs as another user, who must get there.
  await chmod(folder, 0o755);
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const env = { DATA_DIR: join(folder, 'data') };
  const stop = async ({ child, ended }: Awaited<ReturnType<typeof startService>>) => {
    child.kill('SIGTERM');
    t.match(await ended, { code: 0 });
  };

  await t.test('serves on an empty folder, soon, and keeps its data over a restart', async (t) => {
    const start = performance.now();
    const first = await startService(t, env);
    t.ok(performance.now() - start < 10_000, 'first start under 10 s');
    await getJson(`${first.url}/inc`);
    await stop(first);
    const again = performance.now();
    const second = await startService(t, env);
    t.comment(`later start: ${Math.round(performance.now() - again)} ms`);
    t.equal(await likes(second.url), 25);
    await stop(second);
  });

  await t.test(
    'a second service on the same folder is refused, and the first one is not disturbed',
    async (t) => {
      const first = await startService(t, env);
      const { code, stderr } = await runProgram(t, ['src/server.ts'], { ...env, PORT: '0' }).ended;
      t.equal(code, 1);
      t.match(stderr, new RegExp(`^the data folder .* is in use by .* process ${first.child.pid}\\).*\n$`));
      t.equal(await likes(first.url), 25);
      await stop(first);
    },
  );

  await t.test('two that start at once on one folder: one serves, the other is told so', async (t) => {
    const both = [1, 2].map(() => runProgram(t, ['src/server.ts'], { ...env, PORT: '0' }));
    const refused = await Promise.race(both.map(async ({ ended }, i) => ({ i, ...(await ended) })));
    t.match(refused, { code: 1, stderr: /is in use by/ });
    const other = both[1 - refused.i];
    other?.child.kill('SIGTERM');
    t.match(await other?.ended, { code: 0 });
  });

  await t.test('a killed service leaves its server behind, and the next one takes it over', async (t) => {
    const killed = await startService(t, env);
    await getJson(`${killed.url}/inc`);
    const pid = await serverPid(env.DATA_DIR);
    killed.child.kill('SIGKILL');
    await killed.ended;
    const next = await startService(t, env);
    t.equal(await serverPid(env.DATA_DIR), pid, 'the same server');
    t.equal(await likes(next.url), 50);
    await stop(next);
    t.equal(await runningServer(join(env.DATA_DIR, 'cluster')), undefined, 'stopped with its service');
  });

  await t.test('a killed server is started again, and what was acknowledged is there', async (t) => {
    const service = await startService(t, env);
    await getJson(`${service.url}/inc`);
    process.kill(await serverPid(env.DATA_DIR), 'SIGKILL');
    await until(async () => (await getJson(`${service.url}/health/ready`)).status === 503);
    await until(async () => (await getJson(`${service.url}/health/ready`)).status === 200);
    t.equal(await likes(service.url), 75);
    await stop(service);
  });

  await t.test('a folder that cannot be made is one clear line', async (t) => {
    const { code, stderr } = await runProgram(t, ['src/server.ts'], { DATA_DIR: '/dev/null/data', PORT: '0' })
      .ended;
    t.equal(code, 1);
    t.match(stderr, /^DATA_DIR \/dev\/null\/data cannot be made: .*\n$/);
  });
});

const likes = async (url: string) => (await getJson<{ like_result: number }>(`${url}/check`)).like_result;

async function serverPid(dataDir: string): Promise<number> {
  const server = await runningServer(join(dataDir, 'cluster'));
  if (!server) throw new Error('no server');
  return server.pid;
}

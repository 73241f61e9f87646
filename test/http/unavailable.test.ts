import t from 'tap';
import { runningServer } from '../../src/embedded-postgres/server.ts';
import { testApp, testClient, testDatabase, until, whenOk } from '../helper.ts';
import { ownServer } from '../own-server.ts';
import { slow } from '../pace.ts';

const { databaseUrl, cluster, start, stop } = await ownServer(t);

t.test(
  'without a database, the service answers 503 with Retry-After, is live and not ready, and recovers when the database does',
  async (t) => {
    const app = await testApp(t, {}, databaseUrl);
    t.equal((await app.inject('/inc')).statusCode, 200);
    await stop();
    for (const [method, url] of [
      ['GET', '/check'],
      ['GET', '/init'],
      ['GET', '/2th-plock'],
      ['GET', '/health/ready'],
      ['POST', '/labs/isolation/autocommit'],
      ['GET', '/counters/likes'],
      ['GET', '/counters'],
      ['POST', '/counters/likes/increments'],
      ['DELETE', '/counters/likes'],
    ] as const) {
      const response = await app.inject({
        method,
        url,
        headers: method === 'DELETE' ? { 'if-match': '*' } : {},
      });
      t.match(response, { statusCode: 503, headers: { 'retry-after': /^\d+$/ } }, url);
      t.match(response.json(), { code: 'database_unavailable' });
      t.notMatch(response.body, /ECONNREFUSED|127\.0\.0\.1|at /);
    }
    t.equal((await app.inject('/health/live')).statusCode, 200);
    await start();
    await whenOk(app);
    t.match((await app.inject('/check')).json(), { like_result: 25 });
    const added = await app.inject({ method: 'POST', url: '/counters/likes/increments' });
    t.strictSame(added.json(), { name: 'likes', value: 1 }, 'what was refused was not counted');
  },
);

t.test('while the database does not answer, every wait ends; the service recovers afterwards', async (t) => {
  const env = { STATEMENT_TIMEOUT_MS: String(slow(200)), POOL_ACQUIRE_TIMEOUT_MS: String(slow(500)) };
  const app = await testApp(t, env, databaseUrl);
  const likes = async () => (await app.inject('/check')).json<{ like_result?: number }>().like_result;
  await until(async () => (await likes()) !== undefined);
  const before = await likes();
  const client = await testClient(t, databaseUrl);
  const { rows } = await client.query<{ pid: number }>(
    'select pid from pg_stat_activity where backend_type = $1',
    ['client backend'],
  );
  const postmaster = await runningServer(cluster);
  const pids = [postmaster?.pid, ...rows.map(({ pid }) => pid)].filter((pid) => pid !== undefined);
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  try {
    const answers = await Promise.all(
      ['/health/ready', '/check', '/2th-plock', '/counters/likes'].map((path) => app.inject(path)),
    );
    for (const { statusCode, body } of answers) t.equal(statusCode, 503, body);
  } finally {
    for (const pid of pids) process.kill(pid, 'SIGCONT');
  }
  await until(async () => (await likes()) !== undefined);
  t.equal(await likes(), before);
});

t.test(
  'a killed backend fails its call, loses no acknowledged increment, and the next call works',
  async (t) => {
    const url = await testDatabase(t);
    const app = await testApp(t, {}, url);
    const client = await testClient(t, url);
    for (const path of ['/2th-plock', '/2th-olock', '/2th']) {
      await app.inject('/init');
      const running = app.inject(`${path}?increments=1000`);
      const kill = `select pg_terminate_backend(pid) from pg_stat_activity
                  where datname = current_database() and query like 'update%' and pid <> pg_backend_pid() limit 1`;
      await until(async () => (await client.query(kill)).rowCount === 1);
      const response = await running;
      t.ok([503, 504].includes(response.statusCode), `${path}: ${response.body}`);
      t.match(response.json(), { code: /^(database_unavailable|outcome_unknown)$/ });
      t.match((await app.inject('/2th-plock')).json(), { acknowledged: 50, lost: 0 });
    }
  },
);

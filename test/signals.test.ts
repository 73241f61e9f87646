import { once } from 'node:events';
import { connect } from 'node:net';
import t from 'tap';
import { getJson, runProgram, startService, testClient, testDatabase, until } from './helper.ts';
import { slow } from './pace.ts';

const likes = async (url: string) => (await getJson<{ like_result: number }>(`${url}/check`)).like_result;

t.test('on SIGTERM, requests in flight are answered, idle clients cause no delay', async (t) => {
  const service = await startService(t, { DATABASE_URL: await testDatabase(t) });
  const { port, hostname } = new URL(service.url);
  const idle = connect({ port: Number(port), host: hostname });
  await once(idle, 'connect');
  // fetch keeps its connection alive as well.
  await getJson(`${service.url}/init`);
  const inFlight = getJson<{ acknowledged: number }>(`${service.url}/2th-plock?increments=100`);
  await until(async () => (await getJson<{ like_result: number }>(`${service.url}/check`)).like_result > 0);
  service.child.kill('SIGTERM');
  t.match(await inFlight, { status: 200, acknowledged: 200 });
  const start = performance.now();
  t.match(await service.ended, { code: 0, signal: null });
  t.ok(performance.now() - start < slow(5000));
  await t.rejects(fetch(`${service.url}/check`));
  idle.destroy();
});

t.test('on SIGINT, calls that would take too long get a 503, exit code 0 within 10 s', async (t) => {
  const service = await startService(t, { DATABASE_URL: await testDatabase(t) });
  await getJson(`${service.url}/init`);
  // More than any machine can do in the time that is left.
  const path = '/2th-plock?workers=10&increments=1000';
  const calls = Array.from({ length: 6 }, () => getJson<{ code: string }>(`${service.url}${path}`));
  await until(async () => (await getJson<{ like_result: number }>(`${service.url}/check`)).like_result > 0);
  const start = performance.now();
  service.child.kill('SIGINT');
  const answers = await Promise.all(calls);
  t.match(answers.at(-1), { status: 503, code: 'shutting_down' });
  t.ok(answers.every(({ status }) => status === 200 || status === 503));
  t.match(await service.ended, { code: 0 });
  t.ok(performance.now() - start < slow(10_000));
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  t.test(`two ${signal} signals, to the group and from npm, close as gracefully as one`, async (t) => {
    const service = await startService(t, { DATABASE_URL: await testDatabase(t) });
    await getJson(`${service.url}/init`);
    const inFlight = getJson<{ acknowledged: number }>(`${service.url}/2th-plock?increments=100`);
    await until(async () => (await likes(service.url)) > 0);
    service.child.kill(signal);
    // The service has handled the signal once it no longer listens.
    await until(() =>
      fetch(service.url).then(
        () => false,
        () => true,
      ),
    );
    service.child.kill(signal);
    t.match(await inFlight, { status: 200, acknowledged: 200 });
    t.match(await service.ended, { code: 0, signal: null, stderr: '' });
  });
}

t.test('a third signal, after two seconds, ends a service that is still closing', async (t) => {
  const service = await startService(t, { DATABASE_URL: await testDatabase(t) });
  await getJson(`${service.url}/init`);
  const calls = Array.from({ length: 6 }, () =>
    fetch(`${service.url}/2th-plock?workers=10&increments=1000`).catch(() => undefined),
  );
  await until(async () => (await likes(service.url)) > 0);
  service.child.kill('SIGTERM');
  const start = performance.now();
  const again = setInterval(() => service.child.kill('SIGTERM'), 100);
  t.teardown(() => clearInterval(again));
  t.match(await service.ended, { code: 1, stderr: /SIGTERM received again/ });
  t.ok(performance.now() - start > 1500);
  await Promise.all(calls);
});

t.test('SIGTERM ends a start that waits for another process to migrate, exit code 0', async (t) => {
  const DATABASE_URL = await testDatabase(t, { migrated: false });
  const client = await testClient(t, DATABASE_URL);
  await client.query('select pg_advisory_lock(4157112103)');
  const { child, ended } = runProgram(t, ['src/server.ts'], { PORT: '0', DATABASE_URL });
  const waiting = `select from pg_locks where locktype = 'advisory' and not granted`;
  await until(async () => (await client.query(waiting)).rowCount === 1);
  child.kill('SIGTERM');
  t.match(await ended, { code: 0, stderr: '' });
});

t.test('a client that never completes its request does not prevent the end of the service', async (t) => {
  const service = await startService(t, { DATABASE_URL: await testDatabase(t) });
  const { port, hostname } = new URL(service.url);
  const unfinished = connect({ port: Number(port), host: hostname });
  unfinished.on('error', () => {});
  unfinished.write(
    'POST /init HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{',
  );
  // By the time this request is answered, the unfinished one has arrived.
  await getJson(`${service.url}/check`);
  service.child.kill('SIGTERM');
  t.match(await service.ended, { code: 0 });
  unfinished.destroy();
});

import { once } from 'node:events';
import { connect } from 'node:net';
import t, { type Test } from 'tap';
import { CounterWatch } from '../../src/counters/watch.ts';
import { testApp, testClient, testDatabase, until } from '../helper.ts';
import { slow } from '../pace.ts';

/** The events of a stream, one by one. */
async function* events(
  url: string,
  signal: AbortSignal,
): AsyncGenerator<{ event: string; data: { value: number } }> {
  const response = await fetch(url, { signal });
  let text = '';
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk).toString();
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const [, event = '', data = '{}'] = /^event: (.*)\ndata: (.*)$/.exec(text.slice(0, end)) ?? [];
      text = text.slice(end + 2);
      yield { event, data: JSON.parse(data) };
    }
  }
}

async function listening(t: Test, databaseUrl: string): Promise<string> {
  const app = await testApp(t, { DEMOS: 'false' }, databaseUrl);
  return app.listen({ port: 0 });
}

t.test(
  'a stream reports the creation, the change through any replica, and the deletion of a counter',
  async (t) => {
    const databaseUrl = await testDatabase(t);
    const [here, there] = [await listening(t, databaseUrl), await listening(t, databaseUrl)];
    const disconnect = new AbortController();
    const seen = events(`${here}/counters/likes/events`, disconnect.signal);
    const next = async () => (await seen.next()).value;
    t.strictSame(await next(), { event: 'value', data: { name: 'likes', value: null } });
    await fetch(`${there}/counters/likes/increments`, { method: 'POST' });
    t.strictSame(await next(), { event: 'value', data: { name: 'likes', value: 1 } });
    await fetch(`${there}/counters/likes`, { method: 'DELETE', headers: { 'if-match': '*' } });
    t.strictSame(await next(), { event: 'value', data: { name: 'likes', value: null } });
    const client = await testClient(t, databaseUrl);
    await client.query('alter table safe_counters.counters rename to elsewhere');
    t.match(await next(), { event: 'problem', data: { code: 'internal_error' } });
    await client.query('alter table safe_counters.elsewhere rename to counters');
    t.match(await next(), { event: 'value' }, 'the stream recovers by itself');
    disconnect.abort();
    const watchers = async () => /watchers (\d+)/.exec(await (await fetch(`${here}/metrics`)).text())?.[1];
    await until(async () => (await watchers()) === '0');
  },
);

t.test('a service that closes ends its streams at once', async (t) => {
  const app = await testApp(t, { DEMOS: 'false' });
  const url = await app.listen({ port: 0 });
  const seen = events(`${url}/counters/likes/events`, AbortSignal.timeout(slow(20_000)));
  await seen.next();
  const startedAt = performance.now();
  await app.close();
  t.ok((await seen.next()).done);
  t.ok(performance.now() - startedAt < slow(2000));
});

t.test('for a client that does not read, only the latest value is kept', async (t) => {
  const app = await testApp(t, { DEMOS: 'false' });
  const url = new URL(await app.listen({ port: 0 }));
  const name = 'x'.repeat(200);
  const socket = connect(Number(url.port), url.hostname);
  await once(socket, 'connect');
  socket.pause();
  socket.write(`GET /counters/${name}/events HTTP/1.1\r\nhost: localhost\r\n\r\n`);
  for (let i = 0; i < 50; i += 1) await app.inject({ method: 'POST', url: `/counters/${name}/increments` });
  let text = '';
  socket.on('data', (data) => (text += data.toString()));
  socket.resume();
  await until(async () => text.includes('"value":50'));
  t.ok((text.match(/event: value/g)?.length ?? 0) < 50);
  socket.destroy();
});

t.test('a stream holds at most one event, which is the latest', async (t) => {
  let value = 0;
  const watch = new CounterWatch(async () => new Map([['likes', { value: (value += 1) }]]));
  const stream = watch.watch('likes', '192.0.2.1');
  await until(async () => value > 3);
  t.ok(stream.readableLength < 100);
  const received: string[] = [];
  for await (const chunk of stream) {
    received.push(String(chunk));
    if (received.length === 3) break;
  }
  t.equal(new Set(received).size, 3);
  await until(async () => watch.watchers === 0);
});

t.test('the number of streams is limited, in total and for each address', async (t) => {
  const watch = new CounterWatch(async () => new Map());
  const own = Array.from({ length: 100 }, () => watch.watch('likes', '192.0.2.1'));
  t.throws(() => watch.watch('likes', '192.0.2.1'), {
    code: 'too_many_requests',
    message: /^100 streams are open from 192\.0\.2\.1 already; allowed: up to 100 /,
  });
  own[0]?.destroy();
  await until(async () => watch.watchers === 99);
  watch.watch('likes', '192.0.2.1');
  for (let i = 100; i < 1000; i += 1) watch.watch('likes', `2001:db8::${i}`);
  t.throws(() => watch.watch('likes', '192.0.2.2'), { code: 'queue_full' });
  watch.close();
  t.equal(watch.watchers, 0);
});

t.test('the limit applies to the address of the connection, whatever the headers say', async (t) => {
  const app = await testApp(t, { DEMOS: 'false' });
  const url = `${await app.listen({ port: 0 })}/counters/likes/events`;
  const disconnect = new AbortController();
  await Promise.all(Array.from({ length: 100 }, () => fetch(url, { signal: disconnect.signal })));
  const refused = await fetch(url, { headers: { 'x-forwarded-for': '192.0.2.9' } });
  t.match(await refused.json(), {
    status: 429,
    code: 'too_many_requests',
    detail: /from (::ffff:)?127\.0\.0\.1|from ::1/,
  });
  disconnect.abort();
});

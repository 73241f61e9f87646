import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { once } from 'node:events';
import { pino } from 'pino';
import t from 'tap';
import { loadConfig } from '../../src/config.ts';
import { CHECKOUT, testApp, until, whenOk } from '../helper.ts';

const TOKEN = 'a-token-of-the-tests';

t.test('with a token, requests that change something need it, and reads do not', async (t) => {
  const app = await testApp(t, { API_TOKEN: TOKEN });
  const ask = (method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, authorization?: string) =>
    app.inject({ method, url, headers: authorization === undefined ? {} : { authorization } });
  const writes = [
    ['POST', '/counters/likes/increments'],
    ['POST', '/increments'],
    ['PUT', '/counters/likes'],
    ['DELETE', '/counters/likes'],
    ['POST', '/init'],
    ['GET', '/init'],
    ['GET', '/2th'],
    ['POST', '/races'],
    ['GET', '/races/stream'],
    ['POST', '/labs/isolation'],
    ['POST', '/strategies/atomic/posts'],
  ] as const;
  for (const [method, url] of writes) {
    const answer = await ask(method, url);
    t.match(answer, { statusCode: 401, headers: { 'www-authenticate': 'Bearer' } }, `${method} ${url}`);
    t.match(answer.json(), { code: 'unauthorized' });
  }
  for (const wrong of [
    '',
    TOKEN,
    `Bearer ${TOKEN}x`,
    `Bearer ${TOKEN.slice(1)}`,
    `Basic ${TOKEN}`,
    'Bearer',
  ]) {
    t.match(await ask('POST', '/counters/likes/increments', wrong), { statusCode: 401 }, wrong);
  }
  t.match(await ask('POST', '/counters/likes/increments', `Bearer ${TOKEN}`), { statusCode: 200 });
  t.match(await ask('POST', '/counters/likes/increments', `bearer ${TOKEN}`), { statusCode: 200 });
  for (const url of [
    '/counters/likes',
    '/counters',
    '/health/live',
    '/metrics',
    '/labs',
    '/check',
    '/docs/',
  ]) {
    t.match(await ask('GET', url), { statusCode: 200 }, url);
  }
  t.ok(await whenOk(app), '/health/ready');
  const document = (await ask('GET', '/docs/json')).json();
  t.match(document.components.securitySchemes, { token: { type: 'http', scheme: 'bearer' } });
  t.strictSame(document.paths['/increments'].post.security, [{ token: [] }]);
  t.notOk(document.paths['/counters/{name}'].get.security);
});

t.test('a token that is too short is refused at the start, and not printed', async (t) => {
  t.throws(() => loadConfig({ API_TOKEN: 'secret' }), /^API_TOKEN is (?!.*secret).*allowed: .*16 to 512/);
});

t.test('the demonstrations are rate-limited by address, the counters are not', async (t) => {
  const app = await testApp(t, { DEMO_RATE_LIMIT: '3' });
  const statuses = async (url: string) => {
    const seen: number[] = [];
    for (let i = 0; i < 5; i += 1) seen.push((await app.inject(url)).statusCode);
    return seen;
  };
  t.strictSame(await statuses('/strategies'), [200, 200, 200, 429, 429]);
  t.strictSame(await statuses('/counters'), [200, 200, 200, 200, 200]);
  const refused = await app.inject('/strategies');
  t.match(refused.json(), { status: 429, code: 'too_many_requests', detail: /3 requests a minute/ });
  t.match(refused.headers, { 'retry-after': /^\d+$/, 'content-type': /problem\+json/ });
});

t.test('without the demonstrations, only counters and operations are served', async (t) => {
  const app = await testApp(t, { DEMOS: 'false' });
  t.match(await app.inject({ method: 'POST', url: '/counters/likes/increments' }), { statusCode: 200 });
  const paths = Object.keys((await app.inject('/docs/json')).json().paths);
  t.ok(
    paths.every((path) => /^\/(counters|increments|health|problems)/.test(path)),
    paths.join(' '),
  );
  t.match(await app.inject('/2th'), { statusCode: 404 });
});

t.test('the metrics count batches, queued increments, connections and requests', async (t) => {
  const app = await testApp(t);
  await Promise.all([1, 2, 3].map(() => app.inject({ method: 'POST', url: '/counters/likes/increments' })));
  await app.inject('/counters/unheard%20of');
  const metrics = (await app.inject('/metrics')).body;
  for (const line of [
    'safe_counters_batch_size_sum 3',
    'safe_counters_batch_size_count 1',
    'safe_counters_queue_length 0',
    'safe_counters_pool_connections{pool="main",state="waiting"} 0',
    'safe_counters_pool_connections{pool="counters",state="waiting"} 0',
    'safe_counters_lost_answers_total{outcome="unknown"} 0',
    'http_request_duration_seconds_count{method="POST",route="/counters/:name/increments",status="200"} 3',
    'http_request_duration_seconds_count{method="GET",route="/counters/:name",status="404"} 1',
  ]) {
    t.ok(metrics.includes(`\n${line}\n`), line);
  }
});

const count = (route: string, status: number) =>
  `http_request_duration_seconds_count{method="GET",route="${route}",status="${status}"} 1`;

t.test('a client that disconnects early is counted once, as 499, and logged', async (t) => {
  const log: string[] = [];
  const logger = pino<string>({ level: 'info' }, { write: (line) => void log.push(line) });
  const app = await testApp(t, {}, undefined, logger);
  const url = await app.listen({ port: 0 });
  const lines = async () => (await app.metrics.metrics()).split('\n');
  for (const [path, route] of [
    ['/counters/likes/events', '/counters/:name/events'],
    ['/2th-plock?increments=1000', '/2th-plock'],
  ] as const) {
    const leaving = new AbortController();
    const begun = once(app.server, 'request');
    const asked = fetch(`${url}${path}`, { signal: leaving.signal }).catch(() => undefined);
    await begun;
    leaving.abort();
    await asked;
    await until(async () => (await lines()).includes(count(route, 499)));
    t.notOk(
      (await lines()).some((line) => line.includes(`"${route}",status="200"`)),
      route,
    );
  }
  t.ok(log.some((line) => /"status":499.*"the client disconnected/.test(line)));
});

t.test('every figure of the dashboard is exported by the service', async (t) => {
  const app = await testApp(t);
  await app.inject({ method: 'POST', url: '/counters/likes/increments' });
  const given = new Set(
    (await app.inject('/metrics')).body.split('\n').flatMap((line) => {
      const [, type, name = ''] = /^# (TYPE) (\S+)/.exec(line) ?? [];
      const [, series = ''] = /^([a-z_]+)\{?/.exec(line) ?? [];
      return type ? [name] : [series];
    }),
  );
  const dashboard = await readFile(join(CHECKOUT, 'docs/grafana/dashboard.json'), 'utf8');
  const asked = new Set(dashboard.match(/\b(safe_counters|http|nodejs|process)_[a-z0-9_]+/g));
  t.ok(asked.size > 10);
  for (const name of asked) t.ok(given.has(name), name);
});

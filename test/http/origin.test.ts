import t from 'tap';
import { testApp, testDatabase } from '../helper.ts';

const databaseUrl = await testDatabase(t);

const own = 'http://localhost:80';

const writes = [
  ['POST', '/counters/likes/increments'],
  ['PUT', '/counters/likes'],
  ['DELETE', '/counters/likes'],
  ['POST', '/init'],
  ['GET', '/init'],
  ['GET', '/2th'],
  ['POST', '/races'],
  ['GET', '/races/stream'],
] as const;

/** Headers that browsers add to a request of a page of another origin. */
const foreign = [
  { 'sec-fetch-site': 'cross-site' },
  { 'sec-fetch-site': 'same-site' },
  { origin: 'null' },
  { origin: 'http://evil.example' },
  { origin: 'http://localhost:5173' },
  { origin: 'not an origin' },
] as const;

t.test('a request from a page of another origin changes nothing', async (t) => {
  const app = await testApp(t, {}, databaseUrl);
  for (const [method, url] of writes) {
    for (const headers of foreign) {
      const answer = await app.inject({ method, url, headers });
      t.equal(answer.statusCode, 403, `${method} ${url} ${JSON.stringify(headers)}`);
      t.match(answer.json(), { code: 'forbidden_origin' });
    }
  }
  t.equal((await app.inject('/counters/likes')).statusCode, 404);
});

t.test('the service’s page, a typed address and programs may write; every origin may read', async (t) => {
  const app = await testApp(t, {}, databaseUrl);
  const url = '/counters/likes/increments';
  const allowed = [
    {},
    { origin: own, 'sec-fetch-site': 'same-origin' },
    { origin: 'http://localhost' },
    { 'sec-fetch-site': 'none' },
  ];
  for (const headers of allowed)
    t.equal((await app.inject({ method: 'POST', url, headers })).statusCode, 200, JSON.stringify(headers));
  for (const headers of foreign)
    t.equal((await app.inject({ url: '/counters/likes', headers })).statusCode, 200);
});

t.test('behind a trusted proxy, the origin is compared with the forwarded host', async (t) => {
  const headers = {
    host: '127.0.0.1:3000',
    'x-forwarded-host': 'likes.example',
    origin: 'https://likes.example',
  };
  const post = { method: 'POST', url: '/counters/likes/increments', headers } as const;
  t.equal((await (await testApp(t, { TRUST_PROXY: '127.0.0.1' }, databaseUrl)).inject(post)).statusCode, 200);
  t.equal(
    (await (await testApp(t, { TRUST_PROXY: '10.0.0.0/8' }, databaseUrl)).inject(post)).statusCode,
    403,
  );
  t.equal((await (await testApp(t, {}, databaseUrl)).inject(post)).statusCode, 403);
});

const status = async (env: NodeJS.ProcessEnv, host: string, forwarded?: string) => {
  const app = await testApp(t, env, databaseUrl);
  const headers = { host, ...(forwarded === undefined ? {} : { 'x-forwarded-host': forwarded }) };
  return (await app.inject({ url: '/health/live', headers })).statusCode;
};

t.test('on a loopback address, only loopback names and ALLOWED_HOSTS are served', async (t) => {
  const app = await testApp(t, { ALLOWED_HOSTS: 'likes.example, [FD00::1]' }, databaseUrl);
  const ask = (host: string) => app.inject({ url: '/check', headers: { host } });
  const good = [
    'localhost',
    'LOCALHOST:3000',
    'app.localhost',
    '127.0.0.1:1',
    '127.1.2.3',
    '[::1]:3000',
    'localhost.',
  ];
  for (const host of [...good, 'likes.example', 'Likes.Example:443', '[fd00::1]'])
    t.equal((await ask(host)).statusCode, 200, host);
  const bad = [
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '128.0.0.1',
    '0.0.0.0',
    '[::2]',
  ];
  for (const host of [...bad, 'notlocalhost', 'a.likes.example']) {
    const answer = await ask(host);
    t.equal(answer.statusCode, 421, host);
    t.match(answer.json(), { code: 'forbidden_host', detail: /ALLOWED_HOSTS/ });
  }
  t.match((await ask('a b')).json(), { status: 400, code: 'invalid_request' });
});

t.test('a forwarded host does not admit a name that DNS rebinding points to the service', async (t) => {
  t.equal(await status({ TRUST_PROXY: 'true' }, 'evil.example', 'localhost'), 421);
});

t.test('on other addresses every host is served, unless ALLOWED_HOSTS is set', async (t) => {
  t.equal(await status({ HOST: '0.0.0.0' }, 'likes.example'), 200);
  const named = { HOST: '0.0.0.0', ALLOWED_HOSTS: 'likes.example' };
  t.equal(await status(named, 'evil.example'), 421);
  t.equal(await status(named, 'likes.example'), 200);
  // The health check of a container uses this address.
  t.equal(await status(named, '127.0.0.1:3000'), 200);
  for (const HOST of ['::1', 'localhost', '127.0.0.2'])
    t.equal(await status({ HOST }, 'evil.example'), 421, HOST);
});

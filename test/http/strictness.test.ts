import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { problemOf } from '../../src/http/problem-of.ts';
import { testApp } from '../helper.ts';

const app = await testApp(t);
const url = await app.listen({ port: 0, host: '127.0.0.1' });

const refused = [
  ['GET', '/counters/x/increments', 405, 'POST'],
  ['GET', '/labs/traps', 405, 'POST'],
  ['POST', '/counters/x', 405, 'GET, HEAD, DELETE, PUT'],
  ['PUT', '/docs/static/index.css', 405, 'GET, HEAD'],
  ['PROPFIND', '/check', 405, 'GET, POST'],
  ['GET', '/counters/x/nothing', 404, undefined],
] as const;

t.test(
  'a method that a path does not support is 405 with Allow, for paths with parameters as well',
  async (t) => {
    for (const [method, path, statusCode, allow] of refused) {
      const answer = await app.inject({ method: method as 'GET', url: path });
      t.equal(answer.statusCode, statusCode, `${method} ${path}`);
      t.strictSame(answer.headers.allow?.toString().split(', ').toSorted(), allow?.split(', ').toSorted());
    }
  },
);

t.test(
  'every answer has the security headers, also if the path is unknown or cannot be decoded',
  async (t) => {
    const wanted = { 'content-security-policy': String, 'x-content-type-options': 'nosniff' };
    for (const [path, status] of [
      ['/health/live', 200],
      ['/nothing', 404],
      ['/%zz', 400],
    ] as const) {
      const { statusCode, headers } = await app.inject(path);
      t.equal(statusCode, status, path);
      t.match(headers, wanted, path);
    }
  },
);

t.test('whatever is thrown is an internal error', async (t) => {
  for (const thrown of [undefined, null, 'text', 1])
    t.match(problemOf(thrown), { code: 'internal_error', cause: thrown }, String(thrown));
});

t.test('unknown query parameters are refused, except by the pages', async (t) => {
  const paths = [
    '/check',
    '/health/live',
    '/problems',
    '/metrics',
    '/strategies',
    '/labs',
    '/counters',
    '/counters/x',
  ];
  for (const path of paths) {
    const answer = await app.inject(`${path}?nothing=1`);
    t.match(answer.json(), { status: 400, detail: /unknown field "nothing"/ }, path);
  }
  // The pages are opened through links from other sites, which may add parameters.
  for (const path of ['/?utm_source=x', '/docs/?x=1'])
    t.equal((await app.inject(path)).statusCode, 200, path);
});

t.test('unknown fields of a body are refused, and nothing is counted', async (t) => {
  for (const path of ['/counters/strict/increments', '/races', '/2th']) {
    const answer = await app.inject({ method: 'POST', url: path, payload: { nothing: 1 } });
    t.equal(answer.statusCode, 400, path);
  }
  const payload = [{ name: 'strict' }, { name: 'strict', nothing: 1 }];
  const answer = await app.inject({ method: 'POST', url: '/increments', payload });
  t.match(answer.json(), { status: 400, detail: /unknown field "nothing"/ });
  t.equal((await app.inject('/counters/strict')).statusCode, 404);
});

t.test('a query that cannot be decoded is refused, not taken literally', async (t) => {
  for (const bad of ['%', '%zz', '%ff', '%ED%A0%80']) {
    const answer = await app.inject(`/counters?prefix=${bad}`);
    t.match(answer.json(), { status: 400, detail: /not percent-encoded UTF-8/ }, bad);
  }
  t.equal((await app.inject('/counters?prefix=%25zz')).statusCode, 200);
  t.equal(
    (await app.inject('/?utm_source=%zz')).statusCode,
    200,
    'links from other sites may add parameters',
  );
});

t.test('numbers in a path or a query consist of decimal digits', async (t) => {
  for (const bad of ['0x10', '1e1', '%205', '5%20', '+5', '', '1_0', '٣', 'Infinity']) {
    const answer = await app.inject(`/2th?increments=${bad}`);
    t.match(answer.json(), { status: 400, detail: /"increments" must be integer/ }, bad);
  }
  t.match((await app.inject('/2th?increments=05&workers=1')).json(), { attempted: 5 });
  t.equal((await app.inject('/strategies/atomic/posts/0x1')).statusCode, 400);
});

const postEncoded = (encoding: string) =>
  app.inject({
    method: 'POST',
    url: '/counters/x/increments',
    headers: { 'content-type': 'application/json', 'content-encoding': encoding },
    payload: '{"by":2}',
  });

t.test('a body with a content encoding is refused', async (t) => {
  t.match((await postEncoded('Identity')).json(), { value: 2 });
  const answer = await postEncoded('gzip');
  t.match(answer.json(), { status: 415, code: 'unsupported_media_type', detail: /Content-Encoding/ });
  t.equal(answer.headers['accept-encoding'], 'identity');
});

t.test('a body of another type is refused, with the supported type', async (t) => {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  const answer = await app.inject({ method: 'POST', url: '/increments', headers, payload: '[{"name":"x"}]' });
  t.match(answer.json(), { status: 415, detail: /application\/json/ });
});

async function raw(sent: string) {
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1' });
  socket.write(sent);
  const [head = '', ...body] = (await text(socket)).split('\r\n\r\n');
  return { head, problem: body.at(-1) ? (JSON.parse(body.at(-1) ?? '') as object) : undefined };
}

t.test('bad headers are answered with a problem as well', async (t) => {
  const close = 'connection: close\r\n\r\n';
  const cases = [
    [`GET /check HTTP/1.1\r\nhost: localhost\r\nHost: evil.example\r\n${close}`, 400, /more than one/],
    [`GET /check HTTP/1.1\r\n${close}`, 400, /Host header is missing/],
    [`POST /init HTTP/1.1\r\nhost: localhost\r\nexpect: cake\r\n${close}`, 417, /100-continue/],
  ] as const;
  for (const [sent, status, detail] of cases) {
    const { head, problem } = await raw(sent);
    t.match(head, new RegExp(`^HTTP/1.1 ${status} .*application/problem\\+json`, 's'), sent);
    t.match(problem, { status, detail });
  }
  t.match((await raw('GET /health/live HTTP/1.0\r\n\r\n')).head, /^HTTP\/1.1 200 /);
  const length = 'content-type: application/json\r\ncontent-length: 2\r\n';
  const expecting = `POST /2th HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n${length}${close}{}`;
  t.match((await raw(expecting)).head, /^HTTP\/1.1 100 /);
});

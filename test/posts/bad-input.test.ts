import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { testApp } from '../helper.ts';
import { fc } from '../property.ts';

const app = await testApp(t);

const bad = [
  ['GET', '/2th?workers=0', 400, /"workers" must be >= 1/],
  ['GET', '/2th?workers=-3', 400, /"workers" must be >= 1/],
  ['GET', '/2th?workers=65', 400, /"workers" must be <= 64/],
  ['GET', '/2th?workers=two', 400, /"workers" must be integer/],
  ['GET', '/2th?workers=1.5', 400, /"workers" must be integer/],
  ['GET', '/2th?workers=2&workers=3', 400, /"workers" must be integer/],
  ['GET', '/2th?increments=99999999999999999999', 400, /"increments" must be <= 1000/],
  ['GET', '/2th?workers=64&increments=1000', 400, /64000; allowed: up to 10000/],
  ['GET', '/2th?worker=3', 400, /unknown field "worker"/],
  ['GET', '/2th?workers=%zz', 400, /not percent-encoded UTF-8/],
  ['GET', '/%zz', 400, /%zz/],
  ['GET', '/nowhere', 404, /no route GET \/nowhere/],
  ['GET', '/2th/', 404, /no route/],
  ['PUT', '/2th', 405, /does not accept PUT; allowed: GET, POST/],
  ['HEAD', '/2th', 405, /^$/],
  ['DELETE', '/health/live', 405, /does not accept DELETE/],
] as const;

t.test('bad input is answered with a problem that says what is wrong and what is allowed', async (t) => {
  for (const [method, url, status, detail] of bad) {
    const response = await app.inject({ method, url });
    t.equal(response.statusCode, status, `${method} ${url}`);
    t.match(response.headers, { 'content-type': /^application\/problem\+json/ });
    const problem = method === 'HEAD' ? { detail: response.body } : response.json<Record<string, unknown>>();
    t.match(problem, { detail });
    if (method !== 'HEAD')
      t.match(problem, { type: /^\/problems#/, title: String, status, instance: /^urn:request:/ });
  }
  t.equal((await app.inject({ method: 'PUT', url: '/2th' })).headers.allow, 'GET, POST');
});

t.test('a bad body is answered with a problem as well', async (t) => {
  const json = { 'content-type': 'application/json' };
  const cases = [
    [json, '{"workers":3}', 400, 'invalid_request'],
    [json, '{', 400, 'invalid_request'],
    [json, '', 400, 'invalid_request'],
    [json, '{"__proto__":{"a":1}}', 400, 'invalid_request'],
    [{ 'content-type': 'text/plain' }, 'hello', 400, 'invalid_request'],
    [{ 'content-type': 'application/xml' }, '<a/>', 415, 'unsupported_media_type'],
    [json, `"${'a'.repeat(10_000_000)}"`, 413, 'body_too_large'],
  ] as const;
  for (const [headers, payload, status, code] of cases) {
    const response = await app.inject({ method: 'POST', url: '/2th', headers, payload });
    t.match(response.json(), { status, code }, `${headers['content-type']} ${payload.slice(0, 20)}`);
    t.equal(response.statusCode, status);
  }
  t.equal((await app.inject({ method: 'POST', url: '/2th', headers: json, payload: '{}' })).statusCode, 200);
});

t.test('no query string causes a 5xx status', async (t) => {
  const value = fc.oneof(
    fc.string(),
    fc.integer().map(String),
    fc.constantFrom('NaN', '1e3', '0x1', '', 'null', '%00'),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(fc.constantFrom('workers', 'increments', 'x', '__proto__'), value),
      async (query) => {
        // A single increment, so that valid requests take little time.
        const url = `/2th-plock?${new URLSearchParams({ increments: '1', ...query }).toString()}`;
        const { statusCode } = await app.inject({ method: 'GET', url });
        return statusCode === 200 || statusCode === 400;
      },
    ),
    { numRuns: 200 },
  );
  t.pass();
});

t.test('input that is not HTTP is answered with a problem, and the connection is closed', async (t) => {
  const own = await testApp(t);
  const { port } = new URL(await own.listen({ port: 0 }));
  const cases = [
    ['nonsense\r\n\r\n', /not a valid HTTP/],
    ['GET /2th HTTP/1.1\r\nhost: x\r\ncontent-length: minus\r\n\r\n', /not a valid HTTP/],
    [`GET /2th HTTP/1.1\r\nhost: x\r\nx-large: ${'a'.repeat(100_000)}\r\n\r\n`, /headers are larger/],
  ] as const;
  for (const [sent, detail] of cases) {
    const socket = connect({ port: Number(port), host: '127.0.0.1' });
    socket.write(sent);
    const [head = '', body = ''] = (await text(socket)).split('\r\n\r\n');
    t.match(head, /^HTTP\/1\.1 4\d\d .*application\/problem\+json/s);
    t.match(JSON.parse(body), { code: /^(invalid_request|headers_too_large)$/, detail });
  }
});

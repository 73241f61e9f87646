import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import t from 'tap';
import { digestOf } from '../../src/http/caller.ts';
import { createCounters } from '../../src/library/index.ts';
import { testApp, testClient, testDatabase, testFolder, until } from '../helper.ts';

const folder = await testFolder(t, 'callers');
const API_TOKENS_FILE = join(folder, 'tokens.json');

const entry = (name: string, prefix: string, perSecond = 1_000_000, tokens = [`token of ${name}`]) => ({
  name,
  sha256: tokens.map(digestOf),
  prefix,
  perSecond,
});
/** A quota of 1 a second: a bulk of 1,000 uses up a quarter of an hour, so each test has a separate token. */
const slow = (name: string) => entry(name, `${name}:`, 1);

await writeFile(
  API_TOKENS_FILE,
  JSON.stringify([
    entry('shop', 'shop:'),
    entry('operator', ''),
    entry('web', 'web:', 1_000_000, ['the old token', 'the new token']),
    ...['slow', 'bulk', 'late', 'together', 'logged'].map(slow),
    entry('slow-operator', '', 1),
    entry('empty', '', 1, ['']),
  ]),
);

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

const client =
  (app: FastifyInstance) =>
  (method: Method, url: string, token?: string, payload?: object, headers: Record<string, string> = {}) =>
    app.inject({
      method,
      url,
      headers: { ...headers, ...(token ? { authorization: `Bearer ${token}` } : {}) },
      ...(payload ? { payload } : {}),
    });

const bulk = (length: number, prefix: string) => Array.from({ length }, () => ({ name: `${prefix}1` }));

const log: string[] = [];
const logger = pino<string>({ level: 'warn' }, { write: (line) => void log.push(line) });
const API_TOKEN = 'a-token-of-the-tests';
const ask = client(await testApp(t, { API_TOKENS_FILE, API_TOKEN }, undefined, logger));

t.test('a write without a token of the file is refused, and a read needs none', async (t) => {
  for (const token of ['', ' ', 'another token', 'token of shop 2', digestOf('token of shop')]) {
    const answer = await ask('POST', '/counters/shop:1/increments', token);
    t.match(answer, { statusCode: 401, headers: { 'www-authenticate': 'Bearer' } }, token);
    t.match(answer.json(), { code: 'unauthorized' });
  }
  t.match(await ask('POST', '/counters/shop:1/increments', 'token of shop'), { statusCode: 200 });
  t.match(await ask('GET', '/counters/shop:1'), { statusCode: 200 });
  t.match(await ask('GET', '/counters'), { statusCode: 200 });
});

t.test('a token may change counters whose names begin with its prefix, and nothing else', async (t) => {
  const create = { 'if-none-match': '*' };
  t.match(await ask('POST', '/counters/shop:1/increments', 'token of shop'), { statusCode: 200 });
  t.match(await ask('POST', '/counters/shop%3A1/increments', 'token of shop'), { statusCode: 200 });
  t.match(await ask('PUT', '/counters/shop:2', 'token of shop', { value: 1 }, create), { statusCode: 201 });
  t.match(await ask('DELETE', '/counters/shop:2', 'token of shop', undefined, { 'if-match': '*' }), {
    statusCode: 204,
  });
  await ask('POST', '/counters/web:1/increments', 'token of operator');
  const refused: [Method, string, (object | undefined)?, Record<string, string>?][] = [
    ['POST', '/counters/web:1/increments'],
    ['POST', '/counters/Shop:1/increments'],
    ['POST', '/counters/shop/increments'],
    ['PUT', '/counters/web:1', { value: 0 }, { 'if-match': '*' }],
    ['PUT', '/counters/web:2', { value: 0 }, create],
    ['DELETE', '/counters/web:1', undefined, { 'if-match': '*' }],
    ['DELETE', '/counters/web:1', [{ name: 'shop:1' }], { 'if-match': '*' }],
    ['POST', '/init'],
    ['GET', '/init'],
    ['POST', '/races'],
    ['GET', '/races/stream'],
    ['POST', '/labs/isolation'],
    ['POST', '/strategies/atomic/posts'],
  ];
  for (const [method, url, body, headers] of refused) {
    const answer = await ask(method, url, 'token of shop', body, headers);
    t.match(answer, { statusCode: 403 }, `${method} ${url}`);
    t.match(answer.json(), { code: 'insufficient_scope', detail: /^the token shop may change .*"shop:"/ });
    t.equal(answer.headers['www-authenticate'], 'Bearer error="insufficient_scope"');
  }
  t.match((await ask('GET', '/counters/web:1')).json(), { value: 1 });
  t.match(await ask('GET', '/counters/web:2'), { statusCode: 404 });
  t.match(
    await ask('POST', '/init', 'token of operator'),
    { statusCode: 200 },
    'an empty prefix allows every change',
  );
});

t.test('a bulk with one counter of another prefix is refused as a whole, and names it', async (t) => {
  const names = ['shop:a', 'web:a', 'shop:b', 'web:b'];
  const increments = names.map((name) => ({ name }));
  const answer = await ask('POST', '/increments', 'token of shop', increments);
  t.match(answer, { statusCode: 403 });
  t.match(answer.json(), { code: 'insufficient_scope', detail: /"shop:", not "web:a"$/ });
  for (const name of names)
    t.match(await ask('GET', `/counters/${name}`), { statusCode: 404 }, `${name} was not counted`);
  const own = [{ name: 'shop:a' }, { name: 'shop:b', by: 2 }];
  t.strictSame((await ask('POST', '/increments', 'token of shop', own)).json(), [
    { name: 'shop:a', value: 1 },
    { name: 'shop:b', value: 2 },
  ]);
});

const incrementOnce = async (token: string) => {
  const answer = await ask('POST', '/counters/web:key/increments', token, undefined, {
    'idempotency-key': 'k',
  });
  return {
    value: answer.json<{ value: number }>().value,
    replayed: answer.headers['idempotency-replayed'],
  };
};

t.test('an idempotency key belongs to its caller: it counts once for each caller', async (t) => {
  t.strictSame(await incrementOnce('token of operator'), { value: 1, replayed: undefined });
  t.strictSame(await incrementOnce(API_TOKEN), { value: 2, replayed: undefined });
  t.strictSame(await incrementOnce('the old token'), { value: 3, replayed: undefined });
  t.strictSame(
    await incrementOnce('the new token'),
    { value: 3, replayed: 'true' },
    'both tokens are of the same caller',
  );
  t.strictSame(await incrementOnce('token of operator'), { value: 1, replayed: 'true' });
  t.strictSame(await incrementOnce(API_TOKEN), { value: 2, replayed: 'true' });
});

t.test('without a tokens file, a key is that of all callers, and of the library', async (t) => {
  const databaseUrl = await testDatabase(t);
  const app = await testApp(t, { DEMOS: 'false' }, databaseUrl);
  const headers = { 'idempotency-key': 'k' };
  await client(app)('POST', '/counters/likes/increments', undefined, undefined, headers);
  const counters = await createCounters({ connectionString: databaseUrl });
  t.teardown(() => counters.close());
  t.match(await counters.increment('likes', { key: 'k' }), { value: 1, replayed: true });
  const database = await testClient(t, databaseUrl);
  const { rows } = await database.query(
    `select key = substr(sha256('k'), 1, 16) as "isBare" from safe_counters.idempotency_keys`,
  );
  t.strictSame(rows, [{ isBare: true }]);
});

const statusesOf = async (answers: ReturnType<typeof ask>[]) =>
  (await Promise.all(answers)).map(({ statusCode }) => statusCode).toSorted((a, b) => a - b);

t.test('a token that has used up its quota is refused, and admitted again after a while', async (t) => {
  const increment = () => ask('POST', '/counters/slow:1/increments', 'token of slow');
  const [admitted, refused] = await Promise.all([increment(), increment()]);
  t.match(admitted, { statusCode: 200 });
  t.match(refused, { statusCode: 429, headers: { 'retry-after': '1', 'content-type': /problem\+json/ } });
  t.match(refused.json(), {
    code: 'too_many_requests',
    detail: 'increments of the token slow are limited to 1 a second',
  });
  t.match(await ask('POST', '/counters/shop:1/increments', 'token of shop'), { statusCode: 200 });
  await until(async () => (await increment()).statusCode === 200);
});

t.test('a bulk uses one unit of the quota for each increment, and a refused bulk uses none', async (t) => {
  const increment = (length: number, prefix: string) =>
    ask('POST', '/increments', 'token of bulk', bulk(length, prefix));
  t.match(await increment(1000, 'web:'), { statusCode: 403 });
  t.match(await increment(1000, 'bulk:'), { statusCode: 200 });
  const refused = await increment(1, 'bulk:');
  t.match(refused, { statusCode: 429 });
  const waitS = Number(refused.headers['retry-after']);
  t.ok(waitS > 900 && waitS <= 1000, `${waitS} s`);
  t.match((await ask('GET', '/counters/bulk:1')).json(), { value: 1000 });
});

const incrementLate = (payload: object) => ask('POST', '/increments', 'token of late', payload);

t.test('a caller over its quota is refused before the body is read', async (t) => {
  t.match(await incrementLate({}), { statusCode: 400 });
  t.match(await incrementLate(bulk(1000, 'late:')), { statusCode: 200 });
  t.match(await incrementLate({}), { statusCode: 429 });
});

t.test('of bulks that arrive together, one is admitted and the others are over the quota', async (t) => {
  const payload = bulk(1000, 'together:');
  const answers = Array.from({ length: 5 }, () => ask('POST', '/increments', 'token of together', payload));
  t.strictSame(await statusesOf(answers), [200, 429, 429, 429, 429]);
});

t.test('the quota applies to the demonstrations, too', async (t) => {
  const answers = [1, 2].map(() => ask('POST', '/init', 'token of slow-operator'));
  t.strictSame(await statusesOf(answers), [200, 429]);
});

t.test('the log and the metrics name the tokens that were refused, and show no token', async (t) => {
  const increments = [...bulk(2, 'logged:'), ...bulk(1, 'web:')];
  for (let i = 0; i < 3; i += 1) await ask('POST', '/increments', 'token of logged', increments);
  await ask('POST', '/increments', 'token of logged', bulk(3, 'logged:'));
  const lines = () => log.map((line) => JSON.parse(line)).filter(({ caller }) => caller === 'logged');
  await until(async () => lines().reduce((sum, { count }) => sum + count, 0) === 3);
  t.match(lines()[0], { code: 'insufficient_scope', reason: /^the token logged may change .*not "web:1"$/ });
  t.notMatch(log.join(), /the old token|token of|[0-9a-f]{64}/);
  const metrics = (await ask('GET', '/metrics')).body;
  for (const line of [
    'safe_counters_token_increments_total{token="logged"} 3',
    'safe_counters_token_refusals_total{token="logged",code="insufficient_scope"} 3',
  ])
    t.ok(metrics.includes(`\n${line}\n`), line);
});

t.test('the answers to a request with a token are documented if the service has tokens', async (t) => {
  const onlyOne = client(await testApp(t, { API_TOKEN }));
  const documented = async (from: typeof ask, path: string, method: string) => {
    const { responses, security } = (await from('GET', '/docs/json')).json().paths[path][method];
    return [security, ...[401, 403, 429].map((status) => responses[status]?.$ref?.split('/').at(-1))];
  };
  t.strictSame(await documented(ask, '/increments', 'post'), [
    [{ token: [] }],
    'unauthorized',
    'forbidden_origin-or-insufficient_scope',
    'too_many_requests',
  ]);
  t.strictSame(await documented(onlyOne, '/increments', 'post'), [
    [{ token: [] }],
    'unauthorized',
    'forbidden_origin',
    undefined,
  ]);
  t.strictSame(await documented(ask, '/counters/{name}', 'get'), Array.from({ length: 4 }));
});

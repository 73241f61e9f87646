import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import t, { type Test } from 'tap';
import { CounterClient, CounterError } from '../../src/client/client.ts';
import { testApp } from '../helper.ts';
import { slow } from '../pace.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A server that gives each request to the next handler of the list, and all further ones to the last handler. */
async function serve(t: Test, handlers: readonly Handler[]): Promise<{ url: string; served: () => number }> {
  let served = 0;
  const server = createServer((request, response) => {
    const handler = handlers[Math.min(served, handlers.length - 1)];
    served += 1;
    handler?.(request, response);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as { port: number };
  return { url: `http://127.0.0.1:${port}`, served: () => served };
}

const problem = (status: number, code: string, more: object = {}): Handler => {
  const body = JSON.stringify({ code, title: code, detail: 'the detail', ...more });
  return (_request, response) =>
    void response.writeHead(status, { 'content-type': 'application/problem+json' }).end(body);
};

const counted: Handler = (_request, response) =>
  void response.writeHead(200, { 'content-type': 'application/json' }).end('{"name":"likes","value":1}');

const broken: Handler = (_request, response) => void response.destroy();

const proxy: Handler = (_request, response) => void response.writeHead(503).end('<h1>503</h1>');

async function errorOf(call: Promise<unknown>): Promise<CounterError> {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof CounterError) return error;
  throw new Error('the call did not fail with a CounterError', { cause: error });
}

t.test('an increment is counted once, whatever happens to its requests and answers', async (t) => {
  const app = await testApp(t, { DEMOS: 'false' });
  const passOn =
    (outcome: 'answer lost' | 'unknown' | 'passed on'): Handler =>
    async (request, response) => {
      const body = (await request.toArray()).join('');
      const { 'idempotency-key': key = '' } = request.headers;
      const headers = { 'content-type': 'application/json', 'idempotency-key': key };
      const passed = await app.inject({ method: 'POST', url: request.url ?? '', headers, body });
      if (outcome === 'answer lost') {
        response.destroy();
        return;
      }
      const replayed = passed.headers['idempotency-replayed'];
      response.writeHead(outcome === 'unknown' ? 504 : passed.statusCode, {
        'content-type': String(passed.headers['content-type']),
        ...(replayed ? { 'idempotency-replayed': String(replayed) } : {}),
      });
      response.end(passed.body);
    };
  const { url, served } = await serve(t, [
    problem(503, 'busy'),
    passOn('answer lost'),
    passOn('unknown'),
    passOn('passed on'),
  ]);
  const client = new CounterClient(url);
  t.same(await client.increment('likes & more', { by: 3 }), { value: 3, added: 3, replayed: true });
  t.equal(served(), 4);
  t.same(await client.increment('likes & more', { key: '"a key"' }), { value: 4, added: 1, replayed: false });
  const refused = await errorOf(client.increment('likes & more', { by: 0.5 }));
  t.match(refused, { code: 'invalid_request', status: 400, counted: 'no', message: /whole numbers/ });
});

t.test('the client supports bounds, bulks, reads and conditional changes', async (t) => {
  const app = await testApp(t, { DEMOS: 'false' });
  const client = new CounterClient(await app.listen({ port: 0 }));
  t.equal(await client.read('tickets'), undefined);
  const state = { value: 3, min: 0, max: null, expiresAt: null };
  t.same(await client.set('tickets', { value: 3, min: 0 }, 'missing'), {
    ...state,
    replaced: null,
    replayed: false,
  });
  t.same(await client.read('tickets'), state);
  const refused = await errorOf(client.increment('tickets', { by: -5 }));
  t.match(refused, {
    code: 'out_of_bounds',
    status: 409,
    counted: 'no',
    problem: { value: 3, min: 0, fits: -3 },
  });
  t.match(await client.increment('tickets', { by: -5, partial: true }), { value: 0, added: -3 });
  const bulk = [{ name: 'tickets', by: 2 }, { name: 'sold' }, { name: 'sold' }];
  // With and without quotes, it is the same key.
  for (const key of ['"bulk"', 'bulk'])
    t.same(await client.incrementAll(bulk, { key }), { values: [2, 1, 2], replayed: key === 'bulk' });
  t.match(await errorOf(client.set('tickets', { value: 9 }, state)), {
    code: 'precondition_failed',
    status: 412,
  });
  for (const replayed of [false, true]) {
    t.same(await client.set('tickets', { value: 1, max: 5 }, { ...state, value: 2 }, { key: 'once' }), {
      value: 1,
      min: 0,
      max: 5,
      expiresAt: null,
      replaced: 2,
      replayed,
    });
  }
  const some = new Map([
    ['sold', { value: 2, min: null, max: null, expiresAt: null }],
    ['tickets', { value: 1, min: 0, max: 5, expiresAt: null }],
  ]);
  t.same(await client.readAll(['sold', 'nothing', 'tickets']), some);
  t.same(await client.readAll([]), new Map());
  t.match(await errorOf(client.increment('sold', { by: 2 ** 53 })), { code: 'out_of_range', status: 422 });
});

t.test('a request that cannot be sent is refused at once, and is not counted', async (t) => {
  const client = new CounterClient('http://127.0.0.1:1');
  const calls: [string, () => Promise<unknown>][] = [
    ['key with a line break', () => client.increment('a', { key: 'a\nb' })],
    ['key of an emoji', () => client.increment('a', { key: '😀' })],
    ['key with a space', () => client.increment('a', { key: 'a b' })],
    ['key with a quote inside', () => client.increment('a', { key: '"a " b"' })],
    ['key null', () => client.increment('a', { key: null as never })],
    ['key that is too long', () => client.increment('a', { key: 'k'.repeat(256) })],
    ['name undefined', () => client.increment(undefined as never)],
    ['name of a BigInt', () => client.increment(1n as never)],
    ['amount that is a BigInt', () => client.increment('a', { by: 1n as never })],
  ];
  for (const [what, call] of calls)
    t.match(await errorOf(call()), { code: 'invalid_request', counted: 'no', status: undefined }, what);
  const bad: [string, () => unknown][] = [
    ['no protocol', () => new CounterClient('localhost:3000')],
    ['empty', () => new CounterClient('')],
    ['token', () => new CounterClient('http://a', { token: 'a\nb' })],
    ['empty token', () => new CounterClient('http://a', { token: '' })],
    ['attemptsMax', () => new CounterClient('http://a', { attemptsMax: Number.NaN })],
    ['timeoutMs', () => new CounterClient('http://a', { timeoutMs: 0 })],
    ['fetch', () => new CounterClient('http://a', { fetch: 5 as never })],
  ];
  t.doesNotThrow(() => new CounterClient('/api', { fetch, attemptsMax: Number.POSITIVE_INFINITY }));
  for (const [what, make] of bad) t.throws(make, { code: 'invalid_request', counted: 'no' }, what);
});

t.test('an error without an answer says why, and a read changes nothing', async (t) => {
  const client = new CounterClient('http://127.0.0.1:1', { attemptsMax: 1 });
  t.match(await errorOf(client.increment('a')), {
    code: 'no_answer',
    counted: 'unknown',
    message: /ECONNREFUSED|bad port/,
  });
  t.match(await errorOf(client.read('a')), { code: 'no_answer', counted: 'no' });
});

t.test('the client supports lists and deletion', async (t) => {
  const app = await testApp(t, { DEMOS: 'false' });
  const client = new CounterClient(await app.listen({ port: 0 }));
  await client.incrementAll(['a', 'b', 'ü'].map((name) => ({ name })));
  const { counters, next } = await client.list({ limit: 2 });
  t.same(counters[1], { name: 'b', value: 1, min: null, max: null, expiresAt: null });
  t.match(await client.list({ after: next ?? '' }), { counters: [{ name: 'ü' }], next: null });
  t.same(await client.list({ prefix: 'x' }), { counters: [], next: null });
  t.match(await errorOf(client.list({ limit: 0 })), { code: 'invalid_request' });
  t.match(await errorOf(client.delete('a', { value: 2 })), { code: 'precondition_failed', status: 412 });
  await client.delete('a', { value: 1 });
  await client.delete('a', 'exists');
  t.equal(await client.read('a'), undefined);
  const { url, served } = await serve(t, [broken, problem(404, 'not_found')]);
  await new CounterClient(url).delete('a', 'exists');
  t.equal(served(), 2, 'the answer to the first attempt was lost');
});

t.test('with a wrong address of the service, a counter is not taken for missing or deleted', async (t) => {
  const app = await testApp(t, { DEMOS: 'false' });
  const url = await app.listen({ port: 0 });
  await new CounterClient(url).increment('likes');
  const wrong = new CounterClient(`${url}/api`);
  const refused = { code: 'route_not_found', status: 404, counted: 'no', message: /no route \w+ \/api/ };
  const calls = [
    () => wrong.read('likes'),
    () => wrong.delete('likes', 'exists'),
    () => wrong.increment('likes'),
    () => wrong.list(),
  ];
  for (const call of calls) t.match(await errorOf(call()), refused);
  t.match(await new CounterClient(url).read('likes'), { value: 1 });
});

t.test('the client supports windows, bounds of an increment, and expiry', async (t) => {
  const app = await testApp(t, { DEMOS: 'false' });
  const client = new CounterClient(await app.listen({ port: 0 }));
  const limit = { window: '365d', max: 2 };
  t.match(await client.increment('logins', limit), { value: 1 });
  t.match(await client.incrementAll([{ name: 'logins', ...limit }, { name: 'logins' }]), { values: [2, 1] });
  const refused = await errorOf(client.increment('logins', limit));
  t.match(refused, {
    code: 'out_of_bounds',
    status: 409,
    counted: 'no',
    problem: { window: '365d', fits: 0 },
  });
  t.ok((refused.retryAfterMs ?? 0) >= 1000, 'it says when the next window begins');
  t.same(
    (await client.readWindows('logins', '365d', 2)).map(({ value }) => value),
    [2, 0],
  );
  for (const [window, status] of [
    ['0h', 400],
    ['1w', undefined],
    ['..', undefined],
    ['\ud800', undefined],
  ] as const)
    t.match(await errorOf(client.readWindows('logins', window)), { code: 'invalid_request', status }, window);
  const expiresAt = '2100-01-01T00:00:00.000Z';
  t.match(await client.set('offer', { value: 1, expiresAt }, 'missing'), { expiresAt });
  t.match(await client.set('offer', { value: 2 }, { value: 1, expiresAt }), { value: 2, expiresAt });
  t.same(await client.read('offer'), { value: 2, min: null, max: null, expiresAt });
  t.match(await client.set('offer', { expiresAt: null }, 'exists'), { value: 2, expiresAt: null });
});

t.test('an error says whether the increment may have been counted', async (t) => {
  const outcome = async (attemptsMax: number, ...handlers: Handler[]) => {
    const { url } = await serve(t, handlers);
    const error = await errorOf(new CounterClient(url, { attemptsMax }).increment('likes'));
    return [error.code, error.status, error.counted];
  };
  t.same(await outcome(2, problem(503, 'queue_full')), ['queue_full', 503, 'no']);
  t.same(await outcome(2, problem(429, 'too_many_requests')), ['too_many_requests', 429, 'no']);
  t.same(await outcome(2, broken), ['no_answer', undefined, 'unknown']);
  t.same(await outcome(2, problem(504, 'outcome_unknown')), ['outcome_unknown', 504, 'unknown']);
  // A refusal of the second attempt says nothing about the first.
  t.same(await outcome(2, broken, problem(401, 'unauthorized')), ['unauthorized', 401, 'unknown']);
  t.same(await outcome(1, proxy), ['http_503', 503, 'unknown']);
});

t.test('a request that was refused because of a conflict is sent again', async (t) => {
  const { url, served } = await serve(t, [problem(409, 'conflict'), counted]);
  t.match(await new CounterClient(url).set('likes', { value: 1 }, 'exists'), { value: 1 });
  t.equal(served(), 2);
  for (const [code, attempts] of [
    ['conflict', 3],
    ['out_of_bounds', 1],
  ] as const) {
    const refusing = await serve(t, [problem(409, code)]);
    const client = new CounterClient(refusing.url, { attemptsMax: 3 });
    t.match(await errorOf(client.delete('likes', 'exists')), { code, status: 409, counted: 'no' });
    t.equal(refusing.served(), attempts, code);
  }
});

t.test(
  'the body of an answer that is not from the service is cancelled, so that its connection is closed',
  async (t) => {
    let cancelled = 0;
    const reactions = [
      () => {},
      () => Promise.reject(new Error('closed')),
      () => new Promise<void>(() => {}),
    ];
    for (const react of reactions) {
      const cancel = () => {
        cancelled += 1;
        return react();
      };
      const answer = async () => new Response(new ReadableStream({ cancel }), { status: 502 });
      const client = new CounterClient('http://portal', { attemptsMax: 2, fetch: answer });
      t.match(await errorOf(client.increment('likes')), {
        code: 'http_502',
        status: 502,
        counted: 'unknown',
      });
    }
    t.equal(cancelled, 2 * reactions.length);
  },
);

t.test('a change whose answer was lost is sent again under the same key', async (t) => {
  const keys: unknown[] = [];
  const noteKey =
    (handler: Handler): Handler =>
    (request, response) => {
      keys.push(request.headers['idempotency-key']);
      handler(request, response);
    };
  const { url } = await serve(t, [noteKey(broken), noteKey(problem(412, 'precondition_failed'))]);
  const refused = await errorOf(new CounterClient(url).set('likes', { value: 1 }, 'missing'));
  t.match(refused, { code: 'precondition_failed', counted: 'unknown' });
  t.equal(keys.length, 2);
  t.match(keys[0], /^[0-9a-f]{32}$/);
  t.equal(keys[0], keys[1]);
});

t.test('an aborted signal ends an attempt, or the wait for the next one', async (t) => {
  const reason = new Error('enough');
  for (const reaction of ['no answer', 'refusal'] as const) {
    const aborting = new AbortController();
    const { url } = await serve(t, [
      (_request, response) => {
        if (reaction === 'refusal') response.writeHead(503, { 'retry-after': '30' }).end();
        setImmediate(() => aborting.abort(reason));
      },
    ]);
    const { signal } = aborting;
    await t.rejects(new CounterClient(url).increment('likes', { signal }), reason, reaction);
  }
  const { url, served } = await serve(t, [broken]);
  await t.rejects(new CounterClient(url).increment('likes', { signal: AbortSignal.abort(reason) }), reason);
  t.equal(served(), 0);
});

t.test('an attempt without an answer times out, and is followed by another one', async (t) => {
  const { url, served } = await serve(t, [() => {}, counted]);
  t.match(await new CounterClient(url, { timeoutMs: slow(500) }).increment('likes'), { value: 1 });
  t.equal(served(), 2);
});

t.test('the client sends its token', async (t) => {
  const app = await testApp(t, { DEMOS: 'false', API_TOKEN: 'a-token-of-20-letters' });
  const url = await app.listen({ port: 0 });
  t.match(await errorOf(new CounterClient(url).increment('likes')), { code: 'unauthorized', counted: 'no' });
  t.match(await new CounterClient(`${url}/`, { token: 'a-token-of-20-letters' }).increment('likes'), {
    value: 1,
  });
});

t.test('an answer that the service cannot have sent is an error', async (t) => {
  for (const body of ['<html>', 'null', '{}', '[]', '"1"', '[{}]', '{"counters":[{}]}', '{"value":"1"}']) {
    const client = new CounterClient('http://portal', {
      attemptsMax: 1,
      fetch: async () => new Response(body),
    });
    const calls = [
      client.increment('likes'),
      client.incrementAll([{ name: 'likes' }]),
      client.read('likes'),
      client.readAll(['likes']),
      client.set('likes', { value: 1 }, 'exists'),
      client.readWindows('likes', '1h'),
      client.list(),
    ];
    for (const call of calls) t.match(await errorOf(call), { code: 'no_answer' }, body);
  }
});

t.test('a name that a URL cannot express is refused, and not confused with another name', async (t) => {
  const app = await testApp(t, { DEMOS: 'false' });
  const client = new CounterClient(await app.listen({ port: 0 }));
  for (const name of ['', '.', '..', '\ud800']) {
    for (const call of [client.increment(name), client.read(name), client.set(name, { value: 1 }, 'missing')])
      t.match(await errorOf(call), { code: 'invalid_request', counted: 'no' }, JSON.stringify(name));
  }
  t.match(await errorOf(client.readAll(['\ud800'])), { code: 'invalid_request' });
  t.match(await client.incrementAll([{ name: '.' }, { name: '..' }]), { values: [1, 1] });
  t.equal((await client.readAll(['.', '..'])).size, 2);
  t.match(await client.increment('...'), { value: 1 });
});

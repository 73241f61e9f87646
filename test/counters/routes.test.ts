import { randomUUID } from 'node:crypto';
import t from 'tap';
import { VALUE_MAX } from '../../src/counters/counter.ts';
import { testApp, testDatabase } from '../helper.ts';
import { countersOf } from './http.ts';

const app = await testApp(t, { DEMOS: 'false' });

const at = (name: string) => `/counters/${encodeURIComponent(name)}`;

const { ask, add } = countersOf(app);

t.test(
  'an increment creates its counter and adds 1, or the amount given; a read returns the value',
  async (t) => {
    t.match(await add('likes'), { status: 200, body: { name: 'likes', value: 1 } });
    t.match(await add('likes', {}), { body: { value: 2 } });
    t.match(await add('likes', { by: -5 }), { body: { value: -3 } });
    t.match(await add('likes', { by: 0 }), { body: { value: -3 } });
    t.match(await ask('GET', at('likes')), {
      status: 200,
      body: { name: 'likes', value: -3 },
      headers: { etag: '"-3"', 'cache-control': 'no-cache' },
    });
    t.match(await ask('POST', `${at('likes')}/increments?by=5`), {
      status: 400,
      body: { detail: /unknown field "by"/ },
    });
    t.match(await ask('GET', at('unknown')), { status: 404, body: { code: 'not_found' } });
  },
);

t.test(
  'a name is any text of 1 to 200 characters without control characters, and different names are different counters',
  async (t) => {
    const names = [
      'a/b',
      '100%',
      '좋아요',
      '👍'.repeat(200),
      'é',
      'e\u0301',
      ' ',
      '%',
      '_',
      '\\',
      '"',
      '{a,b}',
      'NULL',
      "'; --",
      '..a',
    ];
    for (const name of names) t.match(await add(name), { status: 200, body: { name, value: 1 } }, name);
    for (const name of names)
      t.match(await ask('GET', at(name)), { status: 200, body: { name, value: 1 } }, name);
    for (const name of ['a'.repeat(201), '👍'.repeat(201), 'a\u0000', 'a\nb', 'a\u0085']) {
      t.match(
        await add(name),
        { status: 400, body: { code: 'invalid_request', detail: /name/ } },
        JSON.stringify(name),
      );
    }
    t.match(await ask('POST', '/counters//increments'), { status: 400 });
    t.match(await ask('POST', '/counters/%ff/increments'), { status: 400 });
    t.match(await ask('POST', '/increments', [{ name: '\ud800' }]), {
      status: 400,
      body: { detail: /name/ },
    });
  },
);

/** Sends the text as the body, unchanged. */
const raw = (json: string) =>
  app.inject({
    method: 'POST',
    url: '/counters/exact/increments',
    body: json,
    headers: { 'content-type': 'application/json' },
  });

t.test('a number that cannot be represented exactly is refused, not rounded', async (t) => {
  t.match((await raw(`{"by":${VALUE_MAX}}`)).json(), { name: 'exact', value: 9007199254740991 });
  t.match((await raw('{"by":1}')).json(), { status: 422, code: 'out_of_range' });
  t.match((await raw('{"by":-9007199254740991}')).json(), { value: 0 });
  for (const number of ['9007199254740992', '9007199254740993', '-9007199254740993']) {
    t.match((await raw(`{"by":${number}}`)).json(), { status: 422, code: 'out_of_range' }, number);
  }
  t.match((await raw('{"by":1.0}')).json(), { value: 1 });
  t.match((await raw('{"by":-1.00}')).json(), { value: 0 });
  for (const number of [
    '0.5',
    '1e3',
    '1E400',
    '1.00000000000000000001',
    '9007199254740991.4',
    '1'.repeat(400),
  ]) {
    t.match((await raw(`{"by":${number}}`)).json(), { status: 400, code: 'invalid_request' }, number);
  }
  for (const value of ['"1"', 'null', 'true', '[1]', '{}']) {
    t.match(
      (await raw(`{"by":${value}}`)).json(),
      { status: 400, detail: /body field "by" must be integer/ },
      value,
    );
  }
  for (const json of ['{"by":1', '{"by":1.5', '', '[]', '1', '{"bye":1}', 'null', '{"__proto__":{"by":1}}']) {
    t.match((await raw(json)).json(), { status: 400, code: 'invalid_request' }, json);
  }
  const bytes = Buffer.from('[{"name":"\xff"}]', 'latin1');
  const headers = { 'content-type': 'application/json' };
  const answer = await app.inject({ method: 'POST', url: '/increments', body: bytes, headers });
  t.match(answer.json(), { status: 400, detail: /UTF-8/ });
  const strange = [{ name: '1.5e3 9999999999999999999', by: 1 }];
  t.match(
    await ask('POST', '/increments', strange),
    { status: 200 },
    'digits inside a string are not numbers',
  );
  t.match(await ask('GET', at('exact')), { body: { value: 0 } });
});

t.test('a key counts once: the same request is replayed, a different one is refused', async (t) => {
  const key = { 'idempotency-key': randomUUID() };
  t.match(await add('keyed', { by: 3 }, key), {
    status: 200,
    body: { value: 3 },
    headers: { 'idempotency-replayed': undefined },
  });
  await add('keyed');
  t.match(await add('keyed', { by: 3 }, key), {
    status: 200,
    body: { value: 3 },
    headers: { 'idempotency-replayed': 'true' },
  });
  t.match(await add('keyed', { by: 4 }, key), { status: 422, body: { code: 'key_reused' } });
  t.match(await add('other', { by: 3 }, key), { status: 422, body: { code: 'key_reused' } });
  const both = await Promise.all([1, 2, 3].map(() => add('keyed', {}, { 'idempotency-key': 'at-once' })));
  t.strictSame(
    both.map(({ body }) => body),
    Array.from({ length: 3 }, () => ({ name: 'keyed', value: 5 })),
  );
  t.match(await ask('GET', at('keyed')), { body: { value: 5 } });
  for (const bad of ['', 'a b', 'é', 'x'.repeat(256)]) {
    t.match(
      await add('keyed', {}, { 'idempotency-key': bad }),
      { status: 400, body: { code: 'invalid_request', detail: /^the idempotency key must/ } },
      bad,
    );
  }
});

const addQuoted = (key: string, by: number) => add('quoted', { by }, { 'idempotency-key': key });

t.test('a key is the same with and without the quotes of a structured field', async (t) => {
  for (const [bare, quoted] of [
    ['plain', '"plain"'],
    ['back\\slash"', '"back\\\\slash\\""'],
  ] as const) {
    const first = await addQuoted(quoted, 2);
    t.match(first, { status: 200, headers: { 'idempotency-replayed': undefined } });
    t.match(
      await addQuoted(bare, 2),
      { body: first.body, headers: { 'idempotency-replayed': 'true' } },
      bare,
    );
    t.match(await addQuoted(bare, 3), { status: 422, body: { code: 'key_reused' } });
  }
  t.match(await addQuoted('"of two words"', 1), { status: 200, body: { value: 5 } });
  // Without that form, the quotes are characters of the key.
  for (const [i, bare] of ['"', '""', '"a"b"', '"a\\b"', '"a', 'a"', 'a'].entries())
    t.match(await addQuoted(bare, 1), { status: 200, body: { value: 6 + i } }, bare);
});

t.test('a bulk is written as a whole or not at all, in its order, and under one key', async (t) => {
  const some = [{ name: 'x', by: 2 }, { name: 'y' }, { name: 'x', by: -5 }];
  const key = { 'idempotency-key': randomUUID() };
  const answer = [
    { name: 'x', value: 2 },
    { name: 'y', value: 1 },
    { name: 'x', value: -3 },
  ];
  t.match(await ask('POST', '/increments', some, key), { status: 200, body: answer });
  t.match(await ask('POST', '/increments', some, key), {
    body: answer,
    headers: { 'idempotency-replayed': 'true' },
  });
  t.match(await ask('POST', '/increments', some.slice(1), key), {
    status: 422,
    body: { code: 'key_reused' },
  });
  const over = [
    { name: 'x', by: 1 },
    { name: 'y', by: VALUE_MAX },
  ];
  t.match(await ask('POST', '/increments', over), { status: 422, body: { code: 'out_of_range' } });
  t.match(await ask('GET', at('x')), { body: { value: -3 } }, 'no increment of the bulk was written');
  const thousand = Array.from({ length: 1000 }, (_, i) => ({ name: `bulk ${i}`, by: i }));
  t.equal((await ask('POST', '/increments', thousand)).body.length, 1000);
  t.match(await ask('POST', '/increments', [...thousand, { name: 'x' }]), {
    status: 400,
    body: { detail: /1000/ },
  });
  t.match(await ask('POST', '/increments', []), { status: 400 });
  const wrong = await ask(
    'POST',
    '/increments',
    Array.from({ length: 100_000 }, () => 0),
  );
  t.match(wrong, { status: 400 });
  t.ok(wrong.body.detail.length < 1000, 'the list of errors has a size limit');
  t.match(await ask('POST', '/increments'), { status: 400 });
});

t.test('the pages contain every name once, in order, whatever characters the prefix has', async (t) => {
  const names = ['page/%', 'page/%a', 'page/_', 'page/a', 'page/b', 'page/é', 'page/👍', 'page/\\'];
  await ask(
    'POST',
    '/increments',
    names.map((name) => ({ name })),
  );
  const seen: string[] = [];
  let after: string | null = '';
  while (after !== null) {
    const query: string = new URLSearchParams({ prefix: 'page/', limit: '3', after }).toString();
    const { body } = await ask('GET', `/counters?${query}`);
    seen.push(...body.counters.map(({ name }: { name: string }) => name));
    after = body.next;
  }
  t.strictSame(
    seen,
    names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
  );
  const under = async (prefix: string) =>
    (await ask('GET', `/counters?${new URLSearchParams({ prefix }).toString()}`)).body.counters.length;
  t.equal(await under('page/%'), 2);
  t.equal(await under('page/_'), 1);
  t.equal(await under('page/\\'), 1);
  t.equal(await under('nothing begins like this'), 0);
  for (const query of [
    'limit=0',
    'limit=1001',
    'limit=x',
    'limit=1.5',
    'order=desc',
    `prefix=${'a'.repeat(201)}`,
  ]) {
    t.match(
      await ask('GET', `/counters?${query}`),
      { status: 400, body: { code: 'invalid_request' } },
      query,
    );
  }
});

t.test('a counter is set or deleted only if its entity tag matches', async (t) => {
  const put = (value: number, headers: object) => ask('PUT', at('set'), { value }, headers);
  t.match(await put(5, {}), { status: 428, body: { code: 'precondition_required' } });
  t.match(await put(5, { 'if-match': '*' }), { status: 412 }, 'the counter does not exist yet');
  t.match(await put(5, { 'if-none-match': '*' }), {
    status: 201,
    headers: { etag: '"5"' },
    body: { name: 'set', value: 5 },
  });
  t.match(await put(6, { 'if-none-match': '*' }), { status: 412, body: { code: 'precondition_failed' } });
  t.match(await put(6, { 'if-match': '"4", W/"5"' }), { status: 412 }, 'a weak tag does not match');
  t.match(await put(6, { 'if-match': '"4", "5"' }), { status: 200, headers: { etag: '"6"' } });
  t.match(await put(-7, { 'if-match': '*' }), { status: 200, headers: { etag: '"-7"' } });
  for (const headers of [
    { 'if-match': '-7' },
    { 'if-match': '' },
    { 'if-none-match': '"1"' },
    { 'if-match': '*', 'if-none-match': '*' },
  ]) {
    t.match(
      await put(1, headers),
      { status: 400, body: { code: 'invalid_request' } },
      JSON.stringify(headers),
    );
  }
  t.match(await put(VALUE_MAX + 1, { 'if-match': '*' }), { status: 422, body: { code: 'out_of_range' } });
  t.match(await ask('GET', at('set'), undefined, { 'if-none-match': 'W/"-7", "x"' }), {
    status: 304,
    body: '',
  });
  t.match(await ask('GET', at('set'), undefined, { 'if-none-match': '*' }), { status: 304 });
  t.match(await ask('GET', at('set'), undefined, { 'if-none-match': '"7"' }), { status: 200 });
  const remove = (headers = {}) => ask('DELETE', at('set'), undefined, headers);
  t.match(await remove(), { status: 428 });
  t.match(await remove({ 'if-none-match': '*' }), { status: 400 });
  t.match(await remove({ 'if-match': '"0"' }), { status: 412 });
  t.match(await remove({ 'if-match': '"-7"' }), { status: 204, body: '' });
  t.match(await remove({ 'if-match': '"-7"' }), { status: 404 });
});

t.test(
  'of several clients that set a counter with the same entity tag, one succeeds and the others get 412',
  async (t) => {
    await add('raced');
    const answers = await Promise.all(
      [10, 20, 30, 40].map((value) => ask('PUT', at('raced'), { value }, { 'if-match': '"1"' })),
    );
    t.strictSame(
      answers.map(({ status }) => status).toSorted((a, b) => a - b),
      [200, 412, 412, 412],
    );
  },
);

t.test('a read through any replica includes every increment acknowledged before', async (t) => {
  const databaseUrl = await testDatabase(t);
  const replicas = await Promise.all([1, 2].map(() => testApp(t, { DEMOS: 'false' }, databaseUrl)));
  const clients = Array.from({ length: 20 }, async (_, client) => {
    for (let i = 0; i < 10; i += 1) {
      const acknowledged = await replicas[(client + i) % 2]?.inject({
        method: 'POST',
        url: '/counters/read/increments',
      });
      const read = await replicas[(client + i + 1) % 2]?.inject('/counters/read');
      if (read?.json().value < acknowledged?.json().value) return 'stale';
    }
    return 'current';
  });
  t.strictSame(new Set(await Promise.all(clients)), new Set(['current']));
});

t.test('concurrent increments, also through different replicas, get different values', async (t) => {
  const databaseUrl = await testDatabase(t);
  const replicas = await Promise.all([1, 2, 3].map(() => testApp(t, { DEMOS: 'false' }, databaseUrl)));
  const answers = await Promise.all(
    Array.from({ length: 600 }, (_, i) =>
      (replicas[i % 3] ?? app).inject({
        method: 'POST',
        url: `/counters/${i % 2 ? 'odd' : 'even'}/increments`,
      }),
    ),
  );
  for (const name of ['odd', 'even']) {
    const values = answers.map((answer) => answer.json()).filter((body) => body.name === name);
    t.strictSame(
      values.map(({ value }) => value).toSorted((a, b) => a - b),
      Array.from({ length: 300 }, (_, i) => i + 1),
    );
  }
});

/** The status and the detail of the answer to a request that is refused. */
const refusal = async (method: 'GET' | 'POST', url: string, payload?: string) => {
  const headers = payload === undefined ? {} : { 'content-type': 'application/json' };
  const answer = await app.inject({ method, url, headers, ...(payload === undefined ? {} : { payload }) });
  return [answer.statusCode, answer.json().detail];
};

t.test('a refusal says what is allowed, in words', async (t) => {
  const form = 'must have 1 to 200 characters, without control characters';
  t.same(await refusal('GET', '/counters/a%00b'), [400, `path parameter "name" ${form}`]);
  t.same(await refusal('GET', `/counters/${'x'.repeat(201)}`), [400, `path parameter "name" ${form}`]);
  t.same(await refusal('POST', '/increments', '[{"name":""}]'), [400, `body field "0/name" ${form}`]);
  t.same(await refusal('GET', '/counters?prefix=%01'), [
    400,
    'query parameter "prefix" contains characters that are not allowed',
  ]);
  t.match(await refusal('POST', '/counters/x/increments', '{"__proto__":1}'), [
    400,
    /__proto__ or constructor/,
  ]);
  t.match(await refusal('POST', '/counters/x/increments', '{"by":1'), [400, /JSON/]);
  t.match(await refusal('POST', '/counters/x/increments', '\uFEFF{"by":1.00000000000000000001}'), [
    400,
    /whole numbers/,
  ]);
});

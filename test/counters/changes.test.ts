import t from 'tap';
import { testApp } from '../helper.ts';
import { ANY, countersOf, NEW } from './http.ts';

const app = await testApp(t, { DEMOS: 'false' });

const { ask, put } = countersOf(app);
const keyed = (key: string, condition: object = ANY) => ({ ...condition, 'idempotency-key': key });

t.test(
  'several counters are read together in the requested order, without those that do not exist',
  async (t) => {
    await put('many-a', { value: 1 }, NEW);
    await put('many-b', { value: 2, max: 5 }, NEW);
    const url = '/counters?name=many-b&name=many-none&name=many-a&name=many-b';
    t.strictSame((await ask('GET', url)).body, {
      counters: [
        { name: 'many-b', value: 2, max: 5 },
        { name: 'many-a', value: 1 },
      ],
      next: null,
    });
    t.strictSame((await ask('GET', '/counters?name=many-none')).body, { counters: [], next: null });
    t.match(await ask('GET', '/counters?name=many-a&prefix=many'), {
      status: 400,
      body: { detail: /without prefix, after and limit/ },
    });
    t.match(await ask('GET', '/counters?name='), { status: 400, body: { code: 'invalid_request' } });
  },
);

t.test('the answer to a change has the value that was replaced', async (t) => {
  t.strictSame((await put('reset', { value: 41 }, NEW)).body, { name: 'reset', value: 41 });
  t.strictSame((await put('reset', { value: 0 })).body, { name: 'reset', value: 0, replaced: 41 });
  t.strictSame((await put('reset', { max: 7 })).body, { name: 'reset', value: 0, max: 7, replaced: 0 });
});

t.test(
  'concurrent resets and increments lose nothing: the replaced values and the final value add up to all increments',
  async (t) => {
    await put('drained', { value: 0 }, NEW);
    const adding = Array.from({ length: 200 }, () => ask('POST', '/counters/drained/increments'));
    const resets = Array.from({ length: 20 }, () => put('drained', { value: 0 }));
    await Promise.all(adding);
    const replaced = (await Promise.all(resets)).map(({ body }) => body.replaced as number);
    const { body } = await ask('GET', '/counters/drained');
    t.equal(
      replaced.reduce((sum, value) => sum + value, body.value),
      200,
    );
  },
);

t.test('a change with a key is made once, and a retry gets the same answer', async (t) => {
  await put('once', { value: 5 }, NEW);
  const first = await put('once', { value: 6 }, keyed('change-1', { 'if-match': '"5"' }));
  t.match(first, {
    status: 200,
    body: { value: 6, replaced: 5 },
    headers: { 'idempotency-replayed': undefined },
  });
  await put('once', { value: 9 });
  const again = await put('once', { value: 6 }, keyed('change-1', { 'if-match': '"5"' }));
  t.match(again, { status: 200, headers: { 'idempotency-replayed': 'true', etag: '"6"' } });
  t.strictSame(again.body, first.body);
  t.match((await ask('GET', '/counters/once')).body, { value: 9 }, 'the retry changes nothing');

  t.match(await put('once', { value: 7 }, keyed('change-1')), { status: 422, body: { code: 'key_reused' } });
  t.match(await ask('POST', '/counters/once/increments', { by: 1 }, keyed('change-1')), { status: 422 });
  await ask('POST', '/counters/once/increments', { by: 1 }, { 'idempotency-key': 'change-2' });
  t.match(await put('once', { value: 1 }, keyed('change-2')), { status: 422, body: { code: 'key_reused' } });

  const created = await put('created', { max: 3 }, keyed('change-3', NEW));
  t.match(created, { status: 201, body: { value: 0, max: 3 } });
  t.match(await put('created', { max: 3 }, keyed('change-3', NEW)), { status: 201, body: created.body });
});

t.test('a refused change stores no key, so a retry can succeed later', async (t) => {
  await put('later', { value: 1 }, NEW);
  const headers = keyed('change-later', { 'if-match': '"2"' });
  t.match(await put('later', { value: 3 }, headers), { status: 412 });
  await put('later', { value: 2 });
  t.match(await put('later', { value: 3 }, headers), { status: 200, headers: { etag: '"3"' } });
});

t.test('many concurrent requests with one key make one change and get the same answer', async (t) => {
  await put('rush', { value: 1 }, NEW);
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => put('rush', { value: 2 }, keyed('rush', { 'if-match': '"1"' }))),
  );
  for (const { status, body } of answers)
    t.match({ status, body }, { status: 200, body: { value: 2, replaced: 1 } });
  t.equal(answers.filter(({ headers }) => headers['idempotency-replayed'] === undefined).length, 1);
});

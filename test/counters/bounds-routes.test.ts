import t from 'tap';
import { VALUE_MAX } from '../../src/counters/counter.ts';
import { testApp } from '../helper.ts';
import { countersOf, NEW } from './http.ts';

const app = await testApp(t, { DEMOS: 'false' });

const { ask, get, put, add } = countersOf(app);

t.test('bounds are set with a counter, kept by later changes, changed and removed', async (t) => {
  t.match(await put('kept', { value: 3, min: 0, max: 5 }, NEW), {
    status: 201,
    headers: { etag: '"3:0:5"' },
  });
  t.strictSame((await get('kept')).body, { name: 'kept', value: 3, min: 0, max: 5 });
  t.strictSame((await put('kept', { value: 5 })).body, {
    name: 'kept',
    value: 5,
    min: 0,
    max: 5,
    replaced: 3,
  });
  t.strictSame((await put('kept', { min: null })).body, { name: 'kept', value: 5, max: 5, replaced: 5 });
  t.match(await put('kept', { max: null, min: -1 }), {
    body: { value: 5, min: -1 },
    headers: { etag: '"5:-1:"' },
  });
  t.match(await put('kept', { min: null }), { headers: { etag: '"5"' } });
  t.strictSame((await get('kept')).body, { name: 'kept', value: 5 });
  t.match(await put('empty', { max: 0 }, NEW), { status: 201, body: { value: 0, max: 0 } });
  t.strictSame((await ask('GET', '/counters?prefix=empty')).body.counters, [
    { name: 'empty', value: 0, max: 0 },
  ]);
});

t.test('an entity tag includes the bounds', async (t) => {
  await put('tag', { value: 1, max: 5 }, NEW);
  const matching = (tag: string) => put('tag', { value: 1, max: 5 }, { 'if-match': tag });
  t.match(await matching('"1"'), { status: 412 });
  t.match(await matching('"1:0:5"'), { status: 412 });
  t.match(await matching('"1::6"'), { status: 412 });
  for (const tag of ['"01::5"', '"1::05"', '"1::5 "', '"1:5"', '"100000000000000000000"', '"-0::5"']) {
    t.match((await matching(tag)).status >= 400, true, tag);
    t.match((await matching(tag)).status < 500, true, tag);
  }
  t.match(await matching('"7", "1::5"'), { status: 200, headers: { etag: '"1::5"' } });
  t.match(await ask('GET', '/counters/tag', undefined, { 'if-none-match': '"1::5"' }), { status: 304 });
  t.match(await ask('DELETE', '/counters/tag', undefined, { 'if-match': '"1"' }), { status: 412 });
  t.match(await ask('DELETE', '/counters/tag', undefined, { 'if-match': '"1::5"' }), { status: 204 });
});

t.test('a change that violates its own bounds, or those of the counter, is refused', async (t) => {
  await put('held', { value: 5, min: 0, max: 10 }, NEW);
  for (const change of [{ value: 11 }, { value: -1 }, { max: 4 }, { min: 6 }, { min: 11 }, { max: -1 }]) {
    t.match(
      await put('held', change),
      { status: 409, body: { code: 'out_of_bounds' } },
      JSON.stringify(change),
    );
  }
  for (const change of [{ min: 2, max: 1 }, { value: 3, min: 4 }, { value: 3, max: 2 }, {}, { max: '1' }]) {
    t.match(
      await put('held', change),
      { status: 400, body: { code: 'invalid_request' } },
      JSON.stringify(change),
    );
  }
  t.match(await put('held', { max: VALUE_MAX + 1 }), { status: 422, body: { code: 'out_of_range' } });
  t.match(await put('held', { min: -VALUE_MAX, max: VALUE_MAX }), { status: 200 });
  t.match(await put('none', { value: 3, min: 4 }, NEW), { status: 400 });
  t.match(await put('none', { min: 4 }, NEW), { status: 409, body: { code: 'out_of_bounds' } });
  t.match(await get('none'), { status: 404 });
});

t.test(
  'an increment that would leave the bounds is refused, and the problem says how much would fit',
  async (t) => {
    await put('tickets', { value: 98, min: 0, max: 100 }, NEW);
    const { status, body, headers } = await add('tickets', { by: 5 });
    t.equal(status, 409);
    t.match(headers, { 'content-type': /application\/problem\+json/, 'retry-after': undefined });
    t.match(body, { code: 'out_of_bounds', name: 'tickets', value: 98, min: 0, max: 100, fits: 2 });
    t.strictSame((await add('tickets', { by: 5, partial: true })).body, {
      name: 'tickets',
      value: 100,
      added: 2,
    });
    t.strictSame((await add('tickets', { by: 5, partial: true })).body, {
      name: 'tickets',
      value: 100,
      added: 0,
    });
    t.strictSame((await add('tickets', { by: -5, partial: false })).body, { name: 'tickets', value: 95 });
    const bulk = [{ name: 'other' }, { name: 'tickets', by: 6 }];
    t.match(await ask('POST', '/increments', bulk), { status: 409, body: { name: 'tickets', fits: 5 } });
    t.match(await get('other'), { status: 404 });
    t.match(await ask('POST', '/increments', [{ name: 'tickets', partial: true }]), { status: 400 });
    t.match(await add('tickets', { by: 1, partial: 'yes' }), { status: 400, body: { detail: /partial/ } });
  },
);

t.test('a retry of a refused increment with the same key can succeed later', async (t) => {
  await put('keyed', { value: 0, max: 0 }, NEW);
  const key = { 'idempotency-key': 'bounds' };
  t.match(await add('keyed', {}, key), { status: 409 });
  await put('keyed', { max: 10 });
  t.match(await add('keyed', { by: 1 }, key), { status: 200, body: { value: 1 } });
  t.match(await add('keyed', { by: 1 }, key), { status: 200, headers: { 'idempotency-replayed': 'true' } });
  const part = { 'idempotency-key': 'partial' };
  for (const replayed of [undefined, 'true']) {
    t.match(await add('keyed', { by: 20, partial: true }, part), {
      body: { value: 10, added: 9 },
      headers: { 'idempotency-replayed': replayed },
    });
  }
});

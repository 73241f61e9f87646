import assert from 'node:assert/strict';
import { Ajv } from 'ajv';
import t, { type Test } from 'tap';
import { idOf, quotedRow, rowOfCounter } from '../../src/counters/row.ts';
import type { Counted } from '../../src/counters/request.ts';
import { canonical, WINDOWS_MAX, windowAt, windowsAt } from '../../src/counters/windows.ts';
import type { CounterWriter } from '../../src/counters/writer.ts';
import { Problem } from '../../src/errors/problem.ts';
import { testApp } from '../helper.ts';
import { fc } from '../property.ts';
import { countersOf, type Requests } from './http.ts';
import { setUp, writerOn } from './replica.ts';
import { unreliable } from './unreliable.ts';

const { sessions, databaseUrl, client } = await setUp(t);
const replicas = [
  await testApp(t, { DEMOS: 'false' }, databaseUrl),
  await testApp(t, { DEMOS: 'false' }, databaseUrl),
];

const [first, second] = replicas.map(countersOf) as [Requests, Requests];
const { ask, add } = first;

const windows = async (name: string, window: string, last = 1) =>
  (await ask('GET', `/counters/${name}/windows/${window}?last=${last}`)).body.windows as {
    start: string;
    value: number;
  }[];

/** Stops the clock of the service at this time, until the test ends or sets it again. */
function setClock(t: Test, at: string): void {
  t.intercept(Date, 'now', { value: () => Date.parse(at) });
}

t.test(
  'windows of one length follow each other without a gap, each is another row, and equal lengths are the same windows',
  async (t) => {
    const units = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
    const anyLength = fc.tuple(
      fc.integer({ min: 1, max: 9999 }),
      fc.constantFrom(...(Object.keys(units) as (keyof typeof units)[])),
    );
    const name = fc.string({ unit: 'grapheme', minLength: 1 });
    const at = fc.integer({ min: 0, max: 4_000_000_000_000 });
    fc.assert(
      fc.property(name, anyLength, anyLength, at, (counter, [count, unit], [otherCount, otherUnit], now) => {
        const ms = count * units[unit];
        const rows = windowsAt(counter, `${count}${unit}`, now, 3);
        const [current] = rows;
        assert.ok(current && current.start <= now && now < current.end);
        for (const [i, row] of rows.entries()) {
          assert.equal(row.name, counter);
          assert.ok(Number.isInteger(row.start / ms));
          assert.equal(row.end - row.start, ms);
          if (i > 0) assert.equal(row.end, rows[i - 1]?.start);
          assert.ok(row.keptMs >= WINDOWS_MAX * ms);
          assert.deepEqual(row, windowAt(counter, `${count}${unit}`, row.start));
          assert.deepEqual(row, windowAt(counter, `${count}${unit}`, row.end - 1));
        }
        const isSame = otherCount * units[otherUnit] === ms;
        const other = windowAt(counter, `${otherCount}${otherUnit}`, now);
        assert.equal(idOf(other) === idOf(current), isSame);
        assert.equal(new Set([...rows, rowOfCounter(counter)].map(idOf)).size, 4);
      }),
      { numRuns: 200 },
    );
    for (const [length, shortest] of Object.entries({
      '1s': '1s',
      '60s': '1m',
      '90s': '90s',
      '3600s': '1h',
      '60m': '1h',
      '1440m': '1d',
      '48h': '2d',
      '9960s': '166m',
    })) {
      t.equal(canonical(length), shortest);
      t.same(windowAt('likes', length, 1e12), windowAt('likes', shortest, 1e12));
    }
    const row = windowAt('likes', '3600s', Date.parse('2026-11-29T15:30:00Z'));
    t.equal(quotedRow(row), '"likes" in the window of 1h from 2026-11-29T15:00:00.000Z');
    t.equal(quotedRow(rowOfCounter('a"b')), '"a\\"b"');
    for (const wrong of ['', 'h', '0h', '01h', '1', '1w', '10000s', '-1h', '1.5h', '1h ', ' 1h', '1h\n'])
      t.throws(() => windowAt('likes', wrong, 0), { code: 'invalid_request' }, wrong);
  },
);

t.test('an increment with a window counts in the window, and not in the counter', async (t) => {
  setClock(t, '2030-05-05T10:59:59.999Z');
  t.strictSame((await add('today', { window: '1h' })).body, { name: 'today', value: 1 });
  t.strictSame((await add('today', { window: '60m', by: 4 })).body, { name: 'today', value: 5 });
  setClock(t, '2030-05-05T11:00:00.000Z');
  t.strictSame((await add('today', { window: '1h', by: 7 })).body, { name: 'today', value: 7 });
  t.strictSame(await windows('today', '1h', 3), [
    { start: '2030-05-05T11:00:00.000Z', value: 7 },
    { start: '2030-05-05T10:00:00.000Z', value: 5 },
    { start: '2030-05-05T09:00:00.000Z', value: 0 },
  ]);
  t.match(await ask('GET', '/counters/today'), { status: 404 });
  const both = [{ name: 'today' }, { name: 'today', window: '1d' }, { name: 'today', window: '1h' }];
  t.strictSame((await ask('POST', '/increments', both)).body, [
    { name: 'today', value: 1 },
    { name: 'today', value: 1 },
    { name: 'today', value: 8 },
  ]);
  t.equal((await ask('GET', '/counters/today')).body.value, 1);
  t.strictSame((await ask('GET', '/counters')).body.counters, [{ name: 'today', value: 1 }]);
  t.strictSame((await ask('GET', '/counters?prefix=to')).body.counters, [{ name: 'today', value: 1 }]);
});

t.test(
  'an increment that is retried in the next window counts once, in the window of the first attempt',
  async (t) => {
    const key = { 'idempotency-key': 'across' };
    setClock(t, '2030-05-05T10:00:59Z');
    t.match(await add('across', { window: '1m', by: 3 }, key), { status: 200, body: { value: 3 } });
    setClock(t, '2030-05-05T10:01:00Z');
    t.match(await add('across', { window: '1m', by: 3 }, key), {
      status: 200,
      body: { value: 3 },
      headers: { 'idempotency-replayed': 'true' },
    });
    t.same(
      (await windows('across', '1m', 2)).map(({ value }) => value),
      [0, 3],
    );
    t.match(
      await add('across', { window: '60s', by: 3 }, key),
      { status: 200, body: { value: 3 }, headers: { 'idempotency-replayed': 'true' } },
      'the same window in another unit is the same request',
    );
    t.match(await add('across', { window: '1h', by: 3 }, key), { status: 422, body: { code: 'key_reused' } });
    t.match(await add('across', { by: 3 }, key), { status: 422, body: { code: 'key_reused' } });
  },
);

t.test('a rate limit is exact across replicas, and a refusal says when the next window begins', async (t) => {
  setClock(t, '2030-05-05T10:00:15.001Z');
  const limit = { window: '1m', max: 100 };
  const answers = await Promise.all(
    Array.from({ length: 250 }, (_, i) => (i % 2 === 0 ? first : second).add('limited', limit)),
  );
  const allowed = answers.filter(({ status }) => status === 200);
  t.same(
    new Set(allowed.map(({ body }) => body.value)),
    new Set(Array.from({ length: 100 }, (_, i) => i + 1)),
  );
  const refused = answers.filter(({ status }) => status !== 200);
  t.equal(refused.length, 150);
  for (const answer of refused) {
    t.match(answer, {
      status: 409,
      headers: { 'retry-after': '45' },
      body: { code: 'out_of_bounds', name: 'limited', window: '1m', value: 100, max: 100, fits: 0 },
    });
    t.match(answer.body.detail, '"limited" in the window of 1m from 2030-05-05T10:00:00.000Z is 100');
  }
  setClock(t, '2030-05-05T10:01:00Z');
  t.match(await add('limited', limit), { status: 200, body: { value: 1 } });
});

/** One of the requests for a limited window; every fourth has no key. */
const lossyRequest = (i: number) => ({
  increments: [{ name: 'lossy', by: 1, max: 25, window: '1h' }],
  key: i % 4 === 0 ? undefined : `lossy ${i}`,
});

t.test('a limit is exact when answers get lost: keys are counted once, also in later windows', async (t) => {
  const faults = ['none', 'lost after', 'lost before', 'conflict', 'none'];
  const writers = [0, 1, 2].map((shift) => {
    const order = Array.from({ length: 40 }, (_, i) => faults[(i * 3 + shift) % faults.length] as string);
    return writerOn(unreliable(sessions, order), { lockMsMax: 60_000 });
  });
  setClock(t, '2031-01-01T00:30:00Z');
  const writerOf = (i: number) => writers[i % 3] as CounterWriter;
  const submitAll = () =>
    Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        writerOf(i)
          .submit(lossyRequest(i))
          .then(
            (answer) => ({ i, value: (answer as Counted).values[0] }),
            (error: unknown) => {
              if (error instanceof Problem && error.code === 'out_of_bounds') return undefined;
              throw error;
            },
          ),
      ),
    );
  const counted = (await submitAll()).filter((outcome) => outcome !== undefined);
  t.same(
    counted.map(({ value }) => value).toSorted((a, b) => Number(a) - Number(b)),
    Array.from({ length: 25 }, (_, i) => i + 1),
  );
  setClock(t, '2031-01-01T01:30:00Z');
  const keyed = counted.filter(({ i }) => i % 4 !== 0);
  for (const { i, value } of keyed)
    t.same(await writerOf(i + 1).submit(lossyRequest(i)), { values: [value], replayed: true });
  t.same(
    (await windows('lossy', '1h', 2)).map(({ value }) => value),
    [0, 25],
  );
});

t.test('a limit holds when the clock of the service is behind that of the database', async (t) => {
  setClock(t, new Date(Date.now() - 3_600_000).toISOString());
  const limit = { window: '1s', max: 1 };
  t.match(await add('late', limit), { status: 200 });
  t.match(await add('late', limit), { status: 409 });
});

t.test('a limit holds for the whole window when the clock of the service is a day behind', async (t) => {
  setClock(t, '2026-01-01T10:00:01Z');
  const limit = { window: '15m', max: 1 };
  const increments: [string, () => ReturnType<typeof add>][] = [
    ['alone', () => add('alone', limit)],
    ['keyed', () => add('keyed', limit, { 'idempotency-key': `late-${Date.now()}` })],
    ['part', () => add('part', { ...limit, by: 2, partial: true })],
    ['bulk', () => ask('POST', '/increments', [{ name: 'bulk', ...limit }, { name: 'beside' }])],
  ];
  for (const [, increment] of increments) t.match(await increment(), { status: 200 });
  // As if fourteen minutes had passed for the database, and for the service.
  await client.query(`update safe_counters.counters set exists_until = exists_until - interval '14 minutes'`);
  setClock(t, '2026-01-01T10:14:01Z');
  for (const [name, increment] of increments)
    t.match(await increment(), name === 'part' ? { body: { added: 0 } } : { status: 409 }, name);
});

t.test('a refusal has Retry-After only if the increment would fit into the next window', async (t) => {
  for (const never of [
    { by: 10, max: 5 },
    { by: -1, min: 0 },
    { by: 3, min: 4 },
  ]) {
    const answer = await add('never', { ...never, window: '1d' });
    t.match(answer, { status: 409, headers: { 'retry-after': undefined } }, JSON.stringify(never));
  }
  const bulk = [1, 2].map((by) => ({ name: 'never', by, max: 2, window: '1d' }));
  t.match(await ask('POST', '/increments', bulk), { status: 409, headers: { 'retry-after': undefined } });
  t.match(await ask('POST', '/increments', bulk.slice(1)), { status: 200 });
  t.match(await ask('POST', '/increments', bulk.slice(0, 1)), { headers: { 'retry-after': /^\d+$/ } });
});

t.test('a refusal matches the OpenAPI document', async (t) => {
  await add('documented', { window: '1d' });
  const { body } = await add('documented', { window: '1d', max: 1 });
  const { components } = (await ask('GET', '/docs/json')).body;
  const validate = new Ajv({ strict: false }).compile(components.schemas.Problem);
  t.ok(validate(body), JSON.stringify(validate.errors));
  t.ok(components.responses.out_of_bounds.headers['Retry-After']);
});

t.test(
  'the bounds of an increment apply in addition to those of its counter, and to this increment only',
  async (t) => {
    const put = (payload: object) => ask('PUT', '/counters/own', payload, { 'if-none-match': '*' });
    t.match(await put({ value: 5, max: 8 }), { status: 201 });
    t.match(await add('own', { by: 3, max: 7 }), {
      status: 409,
      headers: { 'retry-after': undefined },
      body: { value: 5, max: 7, fits: 2, detail: /the max of the increment is 7: 2 would fit, not 3/ },
    });
    t.match(await add('own', { by: 5, max: 100 }), { status: 409, body: { max: 8, fits: 3 } });
    t.match(await add('own', { by: 9, max: 7, partial: true }), {
      status: 200,
      body: { value: 7, added: 2 },
    });
    t.match(await add('own', { by: 9, max: 3, partial: true }), {
      status: 200,
      body: { value: 7, added: 0 },
    });
    t.match(await add('own', { by: -9, min: 6, partial: true }), {
      status: 200,
      body: { value: 6, added: -1 },
    });
    const unchanged = { value: 6, added: 0 };
    t.match(await add('own', { by: 1, min: 9, partial: true }), { body: unchanged }, 'still below its min');
    t.match(await add('own', { by: -1, max: 3, partial: true }), { body: unchanged }, 'still above its max');
    t.match(await add('own', { by: -1, min: 6 }), { status: 409, body: { value: 6, min: 6, fits: 0 } });
    t.match(await add('own', { by: 1, max: 2 }), { status: 409, body: { value: 6, max: 2, fits: 0 } });
    t.match(await add('own', { min: 3, max: 2 }), { status: 400, body: { detail: /min is 3 and max is 2/ } });
    t.match(await add('own', { max: 2 ** 53 }), { status: 422, body: { code: 'out_of_range' } });
    const bulk = [
      { name: 'own', by: -2 },
      { name: 'own', by: 1, max: 5 },
      { name: 'other', by: 1, max: 0 },
    ];
    t.match(await ask('POST', '/increments', bulk), {
      status: 409,
      body: { name: 'other', value: 0, max: 0 },
    });
    t.match(await ask('POST', '/increments', bulk.slice(0, 2)), {
      status: 200,
      body: [{ value: 4 }, { value: 5 }],
    });
  },
);

t.test('an invalid window is refused', async (t) => {
  for (const window of ['1', '0s', '1w', 'h', '10000s', 60, null]) {
    t.match(await add('bad', { window }), { status: 400, body: { code: 'invalid_request' } }, String(window));
  }
  t.match(await ask('GET', '/counters/bad/windows/1w'), {
    status: 400,
    body: { detail: 'window is "1w"; allowed: 1 to 9999 followed by a unit (s, m, h or d), such as 15m' },
  });
  t.match(await ask('GET', '/counters/bad/windows/1h?last=0'), { status: 400 });
  t.match(await ask('GET', `/counters/bad/windows/1h?last=${WINDOWS_MAX + 1}`), { status: 400 });
  t.match(await add('bad\u001f', {}), { status: 400 });
});

t.test('a window is kept as long as it can be read, by the clock of the database', async (t) => {
  await client.query('delete from safe_counters.counters');
  const day = 86_400_000;
  const increments: [string, () => ReturnType<typeof add>][] = [
    ['plain', () => add('plain', { window: '1d' })],
    ['keyed', () => add('keyed', { window: '1d' }, { 'idempotency-key': `kept-${Date.now()}` })],
    ['decided', () => add('decided', { window: '1d', max: 5 })],
    ['part', () => add('part', { window: '1d', max: 5, partial: true })],
    ['bulk', () => ask('POST', '/increments', [{ name: 'bulk', window: '1d' }, { name: 'beside' }])],
  ];
  for (const [name, increment] of increments) {
    const before = Date.now();
    t.match(await increment(), { status: 200 });
    const { rows } = await client.query(
      `select period, extract(epoch from starts_at) * 1000 as start, extract(epoch from exists_until) * 1000 as until
       from safe_counters.counters where name = $1`,
      [name],
    );
    const [{ period, start, until }] = rows;
    t.equal(period, '1d');
    t.equal(Number(start), before - (before % day));
    const keptMs = Number(until) - before;
    t.ok(keptMs >= WINDOWS_MAX * day + 600_000 && keptMs < WINDOWS_MAX * day + 660_000, `${keptMs} ms`);
    t.equal(Number(until) % 1, 0, 'whole milliseconds, as in the states that clients compare');
    t.match(await increment(), { status: 200 });
    const again = await client.query(
      'select extract(epoch from exists_until) * 1000 as until from safe_counters.counters where name = $1',
      [name],
    );
    t.same(again.rows, [{ until }], 'a later increment does not change it');
  }
});

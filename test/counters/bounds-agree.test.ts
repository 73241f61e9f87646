import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import t from 'tap';
import { compose, valuesOf } from '../../src/counters/batch.ts';
import { refusalOf } from '../../src/counters/batch-refusal.ts';
import { VALUE_MAX } from '../../src/counters/counter.ts';
import { type Decisions, decide, type StoredAnswer, replay } from '../../src/counters/decide.ts';
import {
  type Answer,
  type Counted,
  type IncrementRequest,
  type PendingRequest,
  pendingOf,
} from '../../src/counters/request.ts';
import { idOf, type Row } from '../../src/counters/row.ts';
import type { Written } from '../../src/counters/store.ts';
import { codeOf } from '../../src/errors/caught.ts';
import { fc } from '../property.ts';
import { anyRows, plainRequest, plainRequestOf } from './any-request.ts';
import { isWindow, type ModelRow } from './bounds-model.ts';
import { placeOfRow, replaceRows, rowOf, rowsIn, rowsOfModel } from './model-rows.ts';
import { outcomeOf, setUp, storeOn, writerOn } from './replica.ts';
import { asking, statementName } from './unreliable.ts';

/*
 * The bounds of counters stand in three places: in `decide`, in the conditions of the statements that write plain batches,
 * and in the constraints of the table. Here, all three are asked the same question.
 */

const { sessions, client } = await setUp(t);
const used: string[] = [];
const watched = asking(sessions, (statement) => {
  used.push(statementName(statement));
  return sessions.query(statement);
});
const store = storeOn(watched, 60_000);
const writer = randomUUID();
await store.register(writer);
let seq = 0;

const NOW = Date.now();
t.intercept(Date, 'now', { value: () => NOW });

/** Requests of several rows, or of one row. */
const plainBatch = fc.oneof(
  fc.array(plainRequest, { minLength: 1, maxLength: 6 }),
  plainRequestOf.chain((some) => fc.array(some, { minLength: 1, maxLength: 6 })),
);

/** Requests with a single increment get keys. */
const withKeys = (requests: readonly IncrementRequest[]): IncrementRequest[] =>
  requests.map((request) => (request.increments.length === 1 ? { ...request, key: randomUUID() } : request));

const decideOn = (pending: readonly PendingRequest[], rows: ReadonlyMap<string, ModelRow>): Decisions =>
  decide(pending, {
    now: NOW,
    states: new Map([...rows].map(([place, row]) => [idOf(rowOf(place, NOW)), row])),
    known: new Map(),
    expiryOf: ({ keptMs }: Row) => (keptMs === 0 ? null : NOW + keptMs),
  });

/** The rows after decisions. */
function after(rows: ReadonlyMap<string, ModelRow>, { changed }: Decisions): Map<string, ModelRow> {
  const result = new Map(rows);
  for (const { row, state } of changed.values()) if (state) result.set(placeOfRow(row), state);
  return rowsOfModel(result);
}

/** @returns undefined: the plain statement refused the batch, because a value would leave its bounds */
async function writePlainly(pending: readonly PendingRequest[]): Promise<Written | undefined> {
  try {
    // A refusal does not use up the number.
    const written = await store.write(compose(pending), { writer, seq: seq + 1 });
    seq += 1;
    return written;
  } catch (error) {
    if (refusalOf(error) !== 'unfit') throw error;
    return undefined;
  }
}

/** Whether the table accepts each increment by itself. */
async function tableAccepts({ row, by }: PendingRequest['increments'][number]): Promise<boolean> {
  const start = row.period === '' ? '-infinity' : new Date(row.start);
  try {
    await client.query(
      `insert into safe_counters.counters as c (period, name, starts_at, value) values ($1, $2, $3, $4)
       on conflict (period, name, starts_at) do update set value = c.value + excluded.value`,
      [row.period, row.name, start, by],
    );
    return true;
  } catch (error) {
    if (codeOf(error) !== '23514') throw error;
    return false;
  }
}

const isApplied = (outcome: unknown): boolean => !(outcome instanceof Error);

/**
 * Whether the sum of each row could be the value of a counter: the table checks the row that would be inserted before it is
 * added to the one that exists. A batch with another sum is decided one by one.
 */
const sumsAreValues = (pending: readonly PendingRequest[]): boolean =>
  compose(pending).deltas.every(({ total }) => total >= -VALUE_MAX && total <= VALUE_MAX);

t.test('the plain statements accept exactly those batches of which every request is accepted', async (t) => {
  const reached: Record<string, number> = {};
  await fc.assert(
    fc.asyncProperty(anyRows, plainBatch, fc.boolean(), async (rows, batch, keyed) => {
      const pending = (keyed ? withKeys(batch) : batch).map(pendingOf);
      const decisions = decideOn(pending, rows);
      const isAccepted = decisions.outcomes.every(isApplied) && sumsAreValues(pending);
      await replaceRows(client, rows, NOW);
      used.length = 0;
      const written = await writePlainly(pending);
      assert.equal(written !== undefined, isAccepted);
      const kind = `${used.join()} ${isAccepted ? 'accepts' : 'refuses'}`;
      reached[kind] = (reached[kind] ?? 0) + 1;
      if (!written) {
        assert.deepEqual(await rowsIn(client), rowsOfModel(rows));
        return;
      }
      assert.deepEqual(
        valuesOf(compose(pending), written.values),
        decisions.outcomes.map((outcome) => (outcome as Counted).values),
      );
      assert.deepEqual(await rowsIn(client), after(rows, decisions));
      await assertKept(pending, decisions);
    }),
    { numRuns: 150 },
  );
  for (const statement of ['write-one', 'write', 'write-keyed'])
    for (const verdict of ['accepts', 'refuses'])
      t.ok((reached[`${statement} ${verdict}`] ?? 0) > 3, JSON.stringify(reached));
});

/** The answers that the plain statement stored are those that `decide` would have stored. */
async function assertKept(pending: readonly PendingRequest[], decisions: Decisions): Promise<void> {
  const { rows } = await client.query<{ key: string; request: string; answer: StoredAnswer }>(
    `delete from safe_counters.idempotency_keys
     returning encode(key, 'hex') as key, encode(request, 'hex') as request, answer`,
  );
  assert.deepEqual(new Set(rows), new Set(decisions.kept));
  for (const [i, request] of pending.entries()) {
    const stored = rows.find(({ key }) => key === request.key);
    if (stored)
      assert.deepEqual(replay(request, stored), { ...(decisions.outcomes[i] as Answer), replayed: true });
  }
}

t.test('a decision in the database is that on the same states', async (t) => {
  await fc.assert(
    fc.asyncProperty(anyRows, plainBatch, async (rows, batch) => {
      const pending = withKeys(batch).map(pendingOf);
      const decisions = decideOn(pending, rows);
      await replaceRows(client, rows, NOW);
      const isApplying = decisions.outcomes.some(isApplied);
      if (isApplying) seq += 1;
      const found = await store.decide(pending, { writer, seq }, (world) => decide(pending, world));
      assert.deepEqual(found.outcomes, decisions.outcomes);
      assert.deepEqual(await rowsIn(client), after(rows, decisions));
      await assertKept(pending, decisions);
    }),
    { numRuns: 50 },
  );
  t.pass();
});

t.test('the table accepts exactly those increments that are accepted', async (t) => {
  await fc.assert(
    fc.asyncProperty(anyRows, plainRequest, async (rows, request) => {
      const pending = request.increments.slice(0, 1).map((one) => pendingOf({ increments: [one] }));
      const decisions = decideOn(pending, rows);
      await replaceRows(client, rows, NOW);
      const [increment] = pending[0]?.increments ?? [];
      assert.ok(increment);
      assert.equal(await tableAccepts(increment), decisions.outcomes.every(isApplied));
      assert.deepEqual(await rowsIn(client), after(rows, decisions));
    }),
    { numRuns: 100 },
  );
  t.pass();
});

const inOneRequest = (by: readonly number[], more: string[] = []) => [
  { increments: by.map((amount) => ({ name: 'a', by: amount })) },
  ...more.map((name) => ({ increments: [{ name, by: 1 }] })),
];
const inSeparateRequests = (by: readonly number[], more: string[] = []) =>
  [...by.map((amount) => ({ name: 'a', by: amount })), ...more.map((name) => ({ name, by: 1 }))].map(
    (increment) => ({ increments: [increment] }),
  );

t.test(
  'a batch of which only a partial sum leaves the bounds is refused by the plain statements',
  async (t) => {
    const bounded = { value: 0, min: -5, max: 5, expiresAt: null };
    const highest = { ...bounded, value: VALUE_MAX - 5, min: null, max: null };
    const lowest = { ...highest, value: -VALUE_MAX + 5 };
    const cases: [ModelRow, number[], number[] | undefined][] = [
      [bounded, [10, -10], undefined],
      [bounded, [-10, 10], undefined],
      [bounded, [6, -1], undefined],
      [bounded, [5, -10, 5], [5, -5, 0]],
      [bounded, [5, -11, 11], undefined],
      [bounded, [0, 0], [0, 0]],
      [highest, [6, -6], undefined],
      [highest, [5, -6], [VALUE_MAX, VALUE_MAX - 6]],
      [lowest, [-6, 6], undefined],
      [lowest, [-5, 6], [-VALUE_MAX, -VALUE_MAX + 6]],
    ];
    for (const [row, amounts, values] of cases)
      for (const make of [inOneRequest, inSeparateRequests])
        for (const more of [[], ['b', 'c']])
          for (const keyed of [false, true]) {
            const batch = make(amounts, more);
            const pending = (keyed ? withKeys(batch) : batch).map(pendingOf);
            await replaceRows(client, new Map([['a', row]]), NOW);
            const written = await writePlainly(pending);
            const found =
              written && valuesOf(compose(pending), written.values).flat().slice(0, amounts.length);
            t.strictSame(
              found,
              values,
              `${amounts.join()} beside ${more.length}${keyed ? ', with keys' : ''}`,
            );
          }
  },
);

const bulk = (by: number) => ({ increments: Array.from({ length: 1000 }, () => ({ name: 'a', by })) });

t.test('a sum that is not a value, or that 64 bits cannot hold, is decided one by one', async (t) => {
  const row = { value: VALUE_MAX, min: null, max: null, expiresAt: null };
  await replaceRows(client, new Map([['c', row]]), NOW);
  const far = { increments: [-VALUE_MAX, -1].map((by) => ({ name: 'c', by })) };
  t.equal(await writePlainly([pendingOf(far)]), undefined);
  t.strictSame(await outcomeOf(writerOn(sessions), far), [0, -1]);
  const up = bulk(VALUE_MAX);
  t.equal(await writePlainly([up, up].map(pendingOf)), undefined);
  t.equal(await writePlainly([up, up, bulk(-VALUE_MAX), bulk(-VALUE_MAX)].map(pendingOf)), undefined);
  const outcomes = await Promise.all(
    [up, up, { increments: [{ name: 'b', by: 1 }] }].map((request) => outcomeOf(writerOn(sessions), request)),
  );
  t.strictSame(outcomes, ['out_of_range', 'out_of_range', [1]]);
});

t.test(
  'an expired row is not added to by the plain statements, but decided as one that does not exist',
  async (t) => {
    const expired = { value: 5, min: 5, max: 5, expiresAt: NOW - 60_000 };
    for (const [increments, place] of [
      [[{ name: 'a', by: 2 }], 'a'],
      [[{ name: 'a', by: 2, window: '1h' }], 'a by 1h'],
      [
        [
          { name: 'b', by: 1 },
          { name: 'a', by: 2 },
        ],
        'a',
      ],
    ] as const) {
      const bounds = isWindow(place) ? { min: null, max: null } : {};
      await replaceRows(client, new Map([[place, { ...expired, ...bounds }]]), NOW);
      const pending = [pendingOf({ increments })];
      t.equal(await writePlainly(pending), undefined);
      seq += 1;
      const { outcomes } = await store.decide(pending, { writer, seq }, (world) => decide(pending, world));
      t.match(outcomes, [{ values: increments.map(({ by }) => by) }]);
      t.strictSame((await rowsIn(client)).get(place), { value: 2, min: null, max: null, expiresAt: null });
    }
  },
);

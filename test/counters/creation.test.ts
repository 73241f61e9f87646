import assert from 'node:assert/strict';
import t, { type Test } from 'tap';
import type { CounterRequest, IncrementRequest } from '../../src/counters/request.ts';
import { testClient, testDatabase } from '../helper.ts';
import { repetitions } from '../pace.ts';
import { fc } from '../property.ts';
import { answerOf, one, outcomeOf, sessionsOn, writerOn } from './replica.ts';

/** Replicas whose servers detect deadlocks at once, before a wait for a lock times out; and why batches were retried. */
async function setUp(t: Test, count: number) {
  const databaseUrl = await testDatabase(t);
  const retried: string[] = [];
  const events = { retried: (reason: string) => void retried.push(reason) };
  const impatient = `${databaseUrl}?options=-c%20deadlock_timeout%3D2ms`;
  const writers = Array.from({ length: count }, () => writerOn(sessionsOn(t, impatient), { events }));
  const client = await testClient(t, databaseUrl);
  /** The values of the rows, by the name and the length of the window. */
  const rows = async (prefix = '') => {
    const { rows: found } = await client.query<{ row: string; value: number }>(
      `select concat_ws(' in ', name, nullif(period, '')) as row, value::int from safe_counters.counters
       where starts_with(name, $1) order by 1`,
      [prefix],
    );
    return Object.fromEntries(found.map(({ row, value }) => [row, value]));
  };
  return { writers, retried, client, rows };
}

t.test('two replicas that begin a window with a bound at the same time count exactly up to it', async (t) => {
  const { writers, retried, rows } = await setUp(t, 2);
  const rounds = repetitions(30, 300);
  for (let round = 0; round < rounds; round += 1) {
    const name = `user ${round}`;
    const request = { increments: [{ name, by: 1, max: 5, window: '9999d' }] };
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, () => writers.map((writer) => outcomeOf(writer, request))).flat(),
    );
    const counted = outcomes.flatMap((outcome) => (typeof outcome === 'string' ? [] : outcome));
    t.strictSame(
      counted.toSorted((a, b) => a - b),
      [1, 2, 3, 4, 5],
    );
    t.equal(outcomes.filter((outcome) => outcome === 'out_of_bounds').length, 11);
    t.strictSame(await rows(name), { [`${name} in 9999d`]: 5 });
  }
  t.notOk(retried.includes('40P01'));
});

const increment = fc.record(
  {
    name: fc.constantFrom('a', 'b', 'c', 'd'),
    by: fc.integer({ min: 1, max: 3 }),
    max: fc.integer({ min: 0, max: 9 }),
    window: fc.constantFrom('9999d', '9998d'),
  },
  { requiredKeys: ['name', 'by'], noNullPrototype: true },
);
const request = fc.oneof(
  fc.record({ increments: fc.tuple(increment), partial: fc.boolean() }),
  fc.record({ increments: fc.array(increment, { minLength: 1, maxLength: 5 }) }),
  // A plain one, which does not lock rows before it adds to them.
  fc.record({
    increments: fc
      .array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.integer({ min: 1, max: 3 })), {
        minLength: 1,
        maxLength: 5,
      })
      .map((all) => all.map(([name, by]) => ({ name, by }))),
  }),
);
/** For each replica, its batches: the requests of each are sent together. */
const load = fc.array(fc.array(fc.array(request, { minLength: 1, maxLength: 4 }), { maxLength: 3 }), {
  minLength: 3,
  maxLength: 3,
});

t.test(
  'replicas that create the same counters and windows, in any order, keep every bound, and neither lose anything nor deadlock',
  async (t) => {
    const { writers, retried, rows } = await setUp(t, 3);
    let run = 0;
    await fc.assert(
      fc.asyncProperty(load, async (replicas) => {
        run += 1;
        const prefix = `${run} `;
        const sums: Record<string, number> = {};
        const send = async (writer: number, sent: IncrementRequest) => {
          const increments = sent.increments.map((each) => ({ ...each, name: prefix + each.name }));
          const answer = await answerOf(writers[writer] as (typeof writers)[0], { ...sent, increments });
          if (answer === 'out_of_bounds') {
            assert.ok(!sent.partial && increments.some(({ max }) => max !== undefined));
            return;
          }
          assert.ok(typeof answer === 'object' && 'values' in answer, JSON.stringify(answer));
          for (const [i, { name, by, max, window }] of increments.entries()) {
            const { values, added = by } = answer;
            assert.ok(max === undefined || added === 0 || (values[i] as number) <= max);
            const row = window === undefined ? name : `${name} in ${window}`;
            sums[row] = (sums[row] ?? 0) + added;
          }
        };
        await Promise.all(
          replicas.map(async (batches, writer) => {
            for (const batch of batches) await Promise.all(batch.map((each) => send(writer, each)));
          }),
        );
        assert.deepEqual(await rows(prefix), sums);
      }),
      { numRuns: repetitions(100, 1000) },
    );
    t.notOk(retried.includes('40P01'), retried.join());
  },
);

t.test(
  'bulks that create the same counters and windows do not deadlock, in whatever order they name them',
  async (t) => {
    const { writers, retried, rows } = await setUp(t, 3);
    const rounds = repetitions(20, 200);
    for (let round = 0; round < rounds; round += 1) {
      const prefix = `${round} `;
      const increments = Array.from({ length: 300 }, (_, i) => ({
        name: `${prefix}${i % 150}`,
        by: 1,
        ...(i % 3 === 0 ? { window: '9999d' } : {}),
      }));
      const outcomes = await Promise.all(
        writers.map((writer, i) =>
          // Plain, and decided under locks in both orders.
          outcomeOf(writer, {
            increments: (i === 1 ? increments.toReversed() : increments).map((each) => ({
              ...each,
              ...(i === 0 ? {} : { max: 6 }),
            })),
          }),
        ),
      );
      t.ok(outcomes.every((outcome) => Array.isArray(outcome)));
      t.ok(Object.values(await rows(prefix)).every((value) => value === 6));
    }
    t.notOk(retried.includes('40P01'));
  },
);

const own = (name: string, max = 0): IncrementRequest => ({ increments: [{ name, by: 1, max }] });
const missing = { name: 'x', change: { max: 5 }, precondition: 'exists' } as const;
const deletion = { name: 'x', change: undefined, precondition: 'exists' } as const;

t.test(
  'what is refused leaves no row behind, whether or not something else of its batch is counted',
  async (t) => {
    const { writers, rows } = await setUp(t, 1);
    const [writer] = writers as [(typeof writers)[0]];
    const answersOf = (...requests: CounterRequest[]) =>
      Promise.all(
        requests.map(async (each) => {
          const answer = await answerOf(writer, each);
          return typeof answer === 'string' ? answer : 'counted';
        }),
      );
    const inWindow = { increments: [{ name: 'x', by: 1, max: 0, window: '9999d' }] };
    const partly = { increments: [...one('y').increments, ...own('x').increments] };
    const refused = [own('x'), inWindow, partly, missing];
    const codes = ['out_of_bounds', 'out_of_bounds', 'out_of_bounds', 'precondition_failed'];
    t.strictSame(await answersOf(...refused), codes);
    t.strictSame(await rows(), {}, 'all of the batch');
    t.strictSame(await answersOf(...refused, own('a', 1), deletion), [...codes, 'counted', 'counted']);
    t.strictSame(await rows(), { a: 1 }, 'some of the batch');
    const creation = { ...missing, precondition: 'missing' } as const;
    t.strictSame(await answersOf(creation, own('x'), deletion, own('z'), own('a')), [
      'counted',
      'out_of_bounds',
      'counted',
      'out_of_bounds',
      'out_of_bounds',
    ]);
    t.strictSame(await rows(), { a: 1 }, 'a counter that is created and deleted by one batch');
    t.strictSame(await answersOf(deletion, own('x')), ['counted', 'out_of_bounds']);
    t.strictSame(await rows(), { a: 1 }, 'a deletion of a counter that does not exist');
  },
);

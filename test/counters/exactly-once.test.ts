import assert from 'node:assert/strict';
import t, { type Test } from 'tap';
import { Proxy } from '../../load-tests/fault-test/network/proxy.ts';
import type { WriterStatement } from '../../load-tests/fault-test/network/statements.ts';
import { doing, type Trap } from '../../load-tests/fault-test/network/trap.ts';
import type { Change, ChangeRequest, Precondition } from '../../src/counters/change.ts';
import type { CounterRequest } from '../../src/counters/request.ts';
import type { CounterWriter } from '../../src/counters/writer.ts';
import { repetitions, slow } from '../pace.ts';
import { fc } from '../property.ts';
import { answerOf, bulk, one, sessionsOn, setUp as setUpReplica, storeOn, writerOn } from './replica.ts';
import { unreliable } from './unreliable.ts';

/** A replica whose connections break, another one, and how lost answers were settled. */
async function setUp(t: Test) {
  const { databaseUrl, sessions, client } = await setUpReplica(t);
  const network = new Proxy(Number(new URL(databaseUrl).port));
  await network.listen();
  t.teardown(() => network.close());
  const settled: string[] = [];
  const events = { settled: (settlement: string) => void settled.push(settlement) };
  const writer = writerOn(sessionsOn(t, databaseUrl.replace(/:\d+\//, `:${network.port}/`)), { events });
  await writer.submit(one('warm'));
  const store = storeOn(sessions);
  /** The state of each counter but `warm`. */
  const states = async () => {
    const all = await store.list('', '', 1000);
    return all.filter(({ name }) => name !== 'warm').map((state) => Object.values(state));
  };
  return { client, network, settled, writer, other: writerOn(sessions), states };
}

const LATER = '2100-01-01T00:00:00.000Z';
const change = (
  name: string,
  to: Change | undefined,
  precondition: Precondition,
  key?: string,
): CounterRequest => ({
  name,
  change: to,
  precondition,
  key,
});
const bounded = (name: string, max: number, key?: string): CounterRequest => ({
  increments: [{ name, by: 1, max }],
  key,
});
const counted = (values: number[]) => ({ values, replayed: false });
const made = (
  value: number,
  max: number | null,
  replaced: number | null,
  expiresAt: string | null = null,
) => ({
  state: { value, min: null, max, expiresAt },
  replaced,
  replayed: false,
});

/** What is sent together, with the answers, and the states after it; `old` and `full` exist. */
interface Case {
  requests: CounterRequest[];
  answers: unknown[];
  /** As name, value, lowest, highest, expiry. */
  after: unknown[][];
}

const old = ['old', 5, null, null, null];
const full = ['full', 1, null, 1, null];

const cases: Record<string, Case> = {
  'increments with their own bounds': {
    requests: [bounded('a', 9), bounded('old', 6, 'k'), bounded('a', 9)],
    answers: [counted([1]), counted([6]), counted([2])],
    after: [['a', 2, null, null, null], full, ['old', 6, null, null, null]],
  },
  'partial increments': {
    requests: [
      { ...one('full', 3), partial: true },
      { ...one('old', 3, 'k'), partial: true },
    ],
    answers: [
      { values: [1], added: 0, replayed: false },
      { values: [8], added: 3, replayed: false },
    ],
    after: [full, ['old', 8, null, null, null]],
  },
  'requests with refused neighbours': {
    requests: [
      one('full'),
      one('old', 1, 'k'),
      change('full', { value: 0 }, 'missing'),
      bounded('new', 0),
      one('b'),
    ],
    answers: ['out_of_bounds', counted([6]), 'precondition_failed', 'out_of_bounds', counted([1])],
    after: [['b', 1, null, null, null], full, ['old', 6, null, null, null]],
  },
  'a bulk with a key': {
    requests: [{ ...bulk('old', 'b', 'old'), key: 'k' }],
    answers: [counted([6, 1, 7])],
    after: [['b', 1, null, null, null], full, ['old', 7, null, null, null]],
  },
  'the creation of a counter without a key': {
    requests: [change('b', { value: 3, max: 9, expiresAt: LATER }, 'missing')],
    answers: [made(3, 9, null, LATER)],
    after: [['b', 3, null, 9, LATER], full, old],
  },
  'a change without a key': {
    requests: [
      change('old', { value: 7, max: 8 }, { oneOf: [{ value: 5, min: null, max: null, expiresAt: null }] }),
    ],
    answers: [made(7, 8, 5)],
    after: [full, ['old', 7, null, 8, null]],
  },
  'a change with a key': {
    requests: [change('old', { max: 8 }, 'exists', 'k')],
    answers: [made(5, 8, 5)],
    after: [full, ['old', 5, null, 8, null]],
  },
  'a deletion without a key, and the creation after it': {
    requests: [change('old', undefined, 'exists'), change('old', { max: 2 }, 'missing'), one('old', 2)],
    answers: [{ state: null, replaced: 5, replayed: false }, made(0, 2, null), counted([2])],
    after: [full, ['old', 2, null, 2, null]],
  },
};

/** When a connection breaks, at which statement of the transaction, and how the lost answer is settled. */
const moments: [string, Trap, WriterStatement['does'], string[]][] = [
  ['before the locks', 'cut before', 'lock', []],
  ['after the locks', 'cut before', 'apply', ['not applied']],
  ['before the commit', 'cut before', 'commit', ['not applied']],
  ['after the commit', 'cut after', 'commit', ['applied']],
];

for (const [what, { requests, answers, after }] of Object.entries(cases))
  t.test(`${what}: exactly once, at whatever moment the connection breaks`, async (t) => {
    const { client, network, settled, writer, other, states } = await setUp(t);
    for (const [moment, trap, at, settlement] of moments) {
      await client.query('delete from safe_counters.counters; delete from safe_counters.idempotency_keys');
      await client.query(
        `insert into safe_counters.counters (name, value, max) values ('old', 5, null), ('full', 1, 1)`,
      );
      settled.length = 0;
      const broken = network.trap(trap, AbortSignal.timeout(slow(60_000)), doing(at));
      t.strictSame(await Promise.all(requests.map((request) => answerOf(writer, request))), answers, moment);
      await broken;
      t.strictSame(settled, settlement);
      t.strictSame(await states(), after);
      for (const [i, request] of requests.entries()) {
        if (request.key === undefined) continue;
        for (const replica of [writer, other])
          t.strictSame(await answerOf(replica, request), { ...(answers[i] as object), replayed: true });
      }
      t.strictSame(await states(), after, 'after the replays');
    }
  });

const anyFault = fc.constantFrom('none', 'none', 'broken', 'lost before', 'lost after', 'conflict');
const at3 = { value: 3, min: null, max: null, expiresAt: null };
const bound = fc.constantFrom(null, 3, 6);
const anyChange = fc.record(
  { value: fc.integer({ min: 0, max: 3 }), max: bound, expiresAt: fc.constantFrom(null, LATER) },
  { requiredKeys: [], noNullPrototype: true },
);
type Operation = { by: number; partial: boolean } | Pick<ChangeRequest, 'change' | 'precondition'>;
const anyOperation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ by: fc.integer({ min: -2, max: 4 }), partial: fc.boolean() }),
  fc.record({
    change: anyChange,
    precondition: fc.constantFrom<Precondition>('exists', 'missing', { oneOf: [at3] }),
  }),
  fc.record({
    change: fc.constant(undefined),
    precondition: fc.constantFrom<Precondition>('exists', { oneOf: [at3] }),
  }),
);

const requestOf = (name: string, operation: Operation): CounterRequest =>
  'by' in operation
    ? { increments: [{ name, by: operation.by }], partial: operation.partial }
    : { name, ...operation };

t.test(
  'increments, changes and deletions without keys have the same outcomes as if no connection had broken',
  async (t) => {
    const { databaseUrl, sessions } = await setUpReplica(t);
    const reliable = writerOn(sessionsOn(t, databaseUrl));
    const load = fc.record({
      faults: fc.array(anyFault, { maxLength: 12 }),
      batches: fc.array(fc.array(anyOperation, { minLength: 1, maxLength: 4 }), {
        minLength: 1,
        maxLength: 5,
      }),
    });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(load, async ({ faults, batches }) => {
        run += 1;
        const outcomesOf = async (writer: CounterWriter, name: string) => {
          const outcomes: unknown[] = [];
          for (const batch of batches)
            outcomes.push(
              ...(await Promise.all(batch.map((each) => answerOf(writer, requestOf(name, each))))),
            );
          return [...outcomes, (await storeOn(sessions).states([name])).get(name)];
        };
        const [outcomes, expected] = await Promise.all([
          outcomesOf(writerOn(unreliable(sessions, faults)), `unreliable ${run}`),
          outcomesOf(reliable, `reliable ${run}`),
        ]);
        assert.deepEqual(outcomes, expected);
      }),
      { numRuns: repetitions(100, 1000) },
    );
    t.pass();
  },
);

import assert from 'node:assert/strict';
import type { Client } from 'pg';
import t, { type Test } from 'tap';
import { VALUE_MAX } from '../../src/counters/counter.ts';
import { fingerprintOf, type IncrementRequest } from '../../src/counters/request.ts';
import { LARGE } from '../../src/counters/selection.ts';
import { CounterStore } from '../../src/counters/store.ts';
import { CounterWriter, type WriterEvents, type WriterLimits } from '../../src/counters/writer.ts';
import { ConnectionError } from '../../src/database/failure.ts';
import type { PreparedStatement } from '../../src/database/sessions.ts';
import { Problem } from '../../src/errors/problem.ts';
import { testClient, testOrm, until } from '../helper.ts';
import { fc } from '../property.ts';
import { type Bounded, BoundsModel, type ModelOutcome } from './bounds-model.ts';
import { lost, type Query, statementName, unreliable } from './unreliable.ts';

const noEvents: WriterEvents = {
  written: () => {},
  retried: () => {},
  settled: () => {},
  replayed: () => {},
};

/** A lock timeout longer than any of these tests: a statement that waits for a lock keeps waiting. */
const UNLIMITED_MS = 60_000;

const writerOn = (sessions: Query, limits: WriterLimits = {}, lockMsMax = UNLIMITED_MS) =>
  new CounterWriter(new CounterStore(sessions, { keyHours: 24, lockMsMax }), noEvents, limits);

const one = (name: string, by = 1, key?: string): IncrementRequest => ({ increments: [{ name, by }], key });

const partial = (name: string, by: number, key?: string) => ({ ...one(name, by, key), partial: true });

/** The outcome of a request: its values, or the code of its problem with the counter that refused it and its value. */
const outcomeOf = (writer: CounterWriter, request: IncrementRequest): Promise<ModelOutcome> =>
  writer.submit(request).then(
    ({ values }) => values,
    (error: unknown) => {
      if (!(error instanceof Problem)) throw error;
      const { code, members } = error;
      return members ? `${code}: ${String(members.name)} is ${String(members.value)}` : code;
    },
  );

const outcomesOf = (writer: CounterWriter, requests: readonly IncrementRequest[]) =>
  Promise.all(requests.map((request) => outcomeOf(writer, request)));

async function setUp(t: Test) {
  const { sessions, databaseUrl } = await testOrm(t);
  const client = await testClient(t, databaseUrl);
  const create = (name: string, { value, min, max }: Bounded) =>
    client.query('insert into counters (name, value, min, max) values ($1, $2, $3, $4)', [
      name,
      value,
      min,
      max,
    ]);
  const valueOf = async (name: string) => {
    const { rows } = await client.query('select value from counters where name = $1', [name]);
    return rows[0] && Number(rows[0].value);
  };
  return { sessions, databaseUrl, client, create, valueOf };
}

/** Resolves when one session waits for a lock. */
const oneIsBlocked = (client: Client) =>
  until(async () => {
    const { rowCount } = await client.query(
      `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    return rowCount === 1;
  });

/** Records the statements that write batches; neither registrations of writers, nor refreshes of statistics. */
function counting(sessions: Query) {
  const sent: string[] = [];
  const query = (statement: PreparedStatement) => {
    if (!['register', ''].includes(statementName(statement))) sent.push(statementName(statement));
    return sessions.query(statement);
  };
  return { sent, sessions: { query } as Query };
}

const bounded = fc
  .tuple(fc.integer({ min: -6, max: 6 }), fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 6 }))
  .chain(([value, below, above]) =>
    fc.record(
      {
        value: fc.constant(value),
        min: fc.constantFrom(value - below, null),
        max: fc.constantFrom(value + above, null),
      },
      { noNullPrototype: true },
    ),
  );

const NAMES = ['a', 'b', 'c', 'ü/"\\{}'];
const anyName = fc.constantFrom(...NAMES, 'new');
const anyAmount = fc.integer({ min: -4, max: 4 });
const increment = fc.oneof(
  { weight: 2, arbitrary: fc.record({ name: anyName, by: anyAmount }) },
  fc.record(
    {
      name: anyName,
      by: anyAmount,
      min: fc.integer({ min: -9, max: 0 }),
      max: fc.integer({ min: 0, max: 9 }),
    },
    { requiredKeys: ['name', 'by'], noNullPrototype: true },
  ),
);
const anyKey = fc.option(fc.integer({ min: 0, max: 6 }).map(String), { nil: undefined });
/** Names of counters of which a request can contain so many that the statement adds them in one step. */
const MANY = Array.from({ length: LARGE + 4 }, (_, i) => `many ${i}`);
const large = fc
  .tuple(fc.subarray(MANY, { minLength: LARGE + 1 }), anyAmount, fc.array(increment, { maxLength: 3 }))
  .map(([names, by, others]) => [...names.map((name) => ({ name, by })), ...others]);
const anyRequest: fc.Arbitrary<IncrementRequest> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ increments: fc.tuple(increment), key: anyKey, partial: fc.boolean() }),
  },
  fc.record({ increments: fc.array(increment, { minLength: 2, maxLength: 4 }), key: anyKey }),
  fc.record({ increments: large, key: anyKey }),
);

t.test(
  'a batch with bounds and expired counters has the same outcomes as its requests one after another',
  async (t) => {
    const { sessions, client, create } = await setUp(t);
    const load = fc.record({
      counters: fc.tuple(...NAMES.map(() => fc.option(bounded, { nil: undefined }))),
      expired: fc.subarray(NAMES),
      batches: fc.array(fc.array(anyRequest, { minLength: 1, maxLength: 25 }), {
        minLength: 1,
        maxLength: 3,
      }),
    });
    await fc.assert(
      fc.asyncProperty(load, async ({ counters, expired, batches }) => {
        await client.query('delete from counters; delete from idempotency_keys');
        const model = new BoundsModel();
        for (const [i, counter] of counters.entries()) {
          if (!counter) continue;
          await create(NAMES[i] as string, counter);
          model.counters.set(NAMES[i] as string, counter);
        }
        await client.query(`update counters set expires_at = now() where name = any($1)`, [expired]);
        for (const name of expired) model.counters.delete(name);
        const writer = writerOn(sessions);
        for (const batch of batches) {
          // Of two requests with the same key, one would join the other instead of being decided again.
          const requests = batch.filter(
            ({ key }, i) => key === undefined || batch.findIndex((other) => other.key === key) === i,
          );
          const outcomes = await outcomesOf(writer, requests);
          const expected = requests.map((request) => model.submit(request));
          assert.deepEqual(outcomes, expected);
        }
        const { rows } = await client.query(
          'select name, value::int, min::int, max::int from counters where expires_at is null',
        );
        const found = new Map(rows.map(({ name, ...counter }) => [name, counter]));
        assert.deepEqual(found, model.counters);
      }),
      { numRuns: 80 },
    );
    t.pass();
  },
);

t.test(
  'a batch with 800 refusals takes two statements, or one if the counter is known to be full',
  async (t) => {
    const { sessions, create, valueOf } = await setUp(t);
    await create('tickets', { value: 0, min: 0, max: 100 });
    const { sent, sessions: counted } = counting(sessions);
    const writer = writerOn(counted);
    const buyers = Array.from({ length: 500 }, () => one('tickets'));
    const requests = buyers.flatMap((buyer, i) => [buyer, i < 400 ? one('tickets') : one(`free ${i}`)]);
    const outcomes = await outcomesOf(writer, requests);
    t.equal(requests.length, 1000);
    t.strictSame(
      outcomes.slice(0, 100),
      Array.from({ length: 100 }, (_, i) => [i + 1]),
      'the first requests are written',
    );
    const refused = outcomes.filter((outcome) => outcome === 'out_of_bounds: tickets is 100');
    t.equal(refused.length, 800);
    t.equal(
      outcomes.filter((outcome) => Array.isArray(outcome)).length,
      200,
      'no request for another counter is refused',
    );
    t.strictSame(sent, ['write', 'write-selective']);
    sent.length = 0;
    await outcomesOf(writer, requests);
    t.strictSame(sent, ['write-selective'], 'a counter that is known to be full is decided by one statement');
    sent.length = 0;
    t.strictSame(await outcomeOf(writer, one('tickets', -100)), [0]);
    t.strictSame(await outcomeOf(writer, one('tickets', 1)), [1]);
    t.strictSame(
      sent,
      ['write-selective', 'write-one'],
      'until it has room again, and is written as a whole',
    );
    t.equal(await valueOf('tickets'), 1);
  },
);

t.test(
  'each of three replicas that contend for a counter needs no more statements than one replica alone',
  async (t) => {
    const { sessions, create, valueOf } = await setUp(t);
    await create('tickets', { value: 0, min: null, max: 250 });
    const replicas = Array.from({ length: 3 }, () => counting(sessions));
    const writers = replicas.map((replica) => writerOn(replica.sessions));
    const outcomes = await Promise.all(
      writers.flatMap((writer, w) =>
        Array.from({ length: 300 }, (_, i) =>
          outcomeOf(writer, one('tickets', 1, i % 2 ? `${w} ${i}` : undefined)),
        ),
      ),
    );
    for (const { sent } of replicas) t.ok(sent.length <= 3, sent.join(' '));
    const sold = outcomes
      .filter(Array.isArray)
      .flat()
      .toSorted((a, b) => a - b);
    t.strictSame(
      sold,
      Array.from({ length: 250 }, (_, i) => i + 1),
    );
    t.equal(outcomes.filter((outcome) => outcome === 'out_of_bounds: tickets is 250').length, 650);
    t.equal(await valueOf('tickets'), 250);
  },
);

const fault = fc.constantFrom('none', 'none', 'lost before', 'lost after', 'conflict');

t.test('three replicas with lost answers and conflicts sell all tickets, and never more', async (t) => {
  const { sessions, create, valueOf } = await setUp(t);
  let run = 0;
  const load = fc.record({
    faults: fc.array(fc.array(fault, { maxLength: 8 }), { minLength: 3, maxLength: 3 }),
    max: fc.integer({ min: 0, max: 12 }),
    buyers: fc.array(
      fc.record({
        replica: fc.integer({ min: 0, max: 2 }),
        by: fc.integer({ min: 1, max: 3 }),
        part: fc.boolean(),
        keyed: fc.boolean(),
        again: fc.boolean(),
      }),
      { minLength: 1, maxLength: 30 },
    ),
  });
  await fc.assert(
    fc.asyncProperty(load, async ({ faults, max, buyers }) => {
      run += 1;
      const name = `tickets ${run}`;
      await create(name, { value: 0, min: 0, max });
      const writers = faults.map((some) => writerOn(unreliable(sessions, some)));
      const sent = buyers.flatMap(({ replica, by, part, keyed, again }, i) => {
        const request = { ...one(name, by, keyed ? `${run} ${i}` : undefined), partial: part };
        const at = keyed && again ? [replica, (replica + 1) % 3] : [replica];
        return [at.map((r) => outcomeOf(writers[r] as CounterWriter, request))].map((outcomes) => ({
          by,
          part,
          outcomes,
        }));
      });
      let sold = 0;
      let refused = 0;
      for (const { by, part, outcomes } of sent) {
        const all = await Promise.all(outcomes);
        const counted = all.filter(Array.isArray);
        assert.ok(new Set(counted.map(String)).size <= 1, 'one key, one answer');
        const [value = 0, added = by] = counted[0] ?? [];
        if (counted.length > 0) sold += part ? added : by;
        else refused += 1;
        assert.ok(value <= max && added <= by, `${added} of ${by} to ${value}, of ${max}`);
        assert.ok(
          all.every((outcome) => Array.isArray(outcome) || outcome.startsWith('out_of_bounds')),
          String(all),
        );
      }
      assert.equal(await valueOf(name), sold);
      assert.ok(sold <= max);
      // The largest amount is 3: with that much room, no request may be refused.
      if (refused > 0) assert.ok(sold > max - 3, `${refused} refused with ${sold} of ${max} sold`);
    }),
    { numRuns: 60 },
  );
  t.pass();
});

t.test('after a lost answer, requests get the answers that were lost, including refusals', async (t) => {
  const { sessions, create, valueOf } = await setUp(t);
  await create('tickets', { value: 0, min: 0, max: 5 });
  const { sent, sessions: counted } = counting(unreliable(sessions, ['lost after', 'none', 'lost after']));
  const writer = writerOn(counted);
  const requests = [one('tickets', 4, 'a'), one('tickets', 2), partial('tickets', 2, 'b'), one('other', 7)];
  const outcomes = await outcomesOf(writer, requests);
  t.strictSame(outcomes, [[4], 'out_of_bounds: tickets is 4', [5, 1], [7]]);
  t.strictSame(sent, ['write-selective', 'write-selective', 'close', 'close']);
  t.strictSame(
    await outcomesOf(
      writerOn(sessions),
      requests.filter(({ key }) => key),
    ),
    [[4], [5, 1]],
    'a retry with the same keys gets the same answers',
  );
  t.equal(await valueOf('tickets'), 5);
});

t.test('a refusal does not use up the key', async (t) => {
  const { sessions, client, create } = await setUp(t);
  await create('tickets', { value: 100, min: 0, max: 100 });
  const writer = writerOn(sessions);
  t.equal(await outcomeOf(writer, one('tickets', 1, 'key')), 'out_of_bounds: tickets is 100');
  t.equal((await client.query('select from idempotency_keys')).rowCount, 0);
  await writer.submit(one('tickets', -1));
  t.strictSame(await writer.submit(one('tickets', 1, 'key')), { values: [100], replayed: false });
  t.strictSame(await writer.submit(one('tickets', 1, 'key')), { values: [100], replayed: true });
  // A partial increment that adds nothing is counted, too, and its answer is stored.
  t.strictSame(await writer.submit(partial('tickets', 3, 'part')), { values: [100, 0], replayed: false });
  await writer.submit(one('tickets', -50));
  t.strictSame(await writer.submit(partial('tickets', 3, 'part')), { values: [100, 0], replayed: true });
  t.equal(await outcomeOf(writer, one('tickets', 3, 'part')), 'key_reused');
});

t.test('a refusal states the value of the counter, its bounds and how much would fit', async (t) => {
  const { sessions, create } = await setUp(t);
  await create('tickets', { value: 98, min: 0, max: 100 });
  await create('floor', { value: 3, min: -1, max: null });
  const writer = writerOn(sessions);
  const refusal = (request: IncrementRequest) => writer.submit(request).catch((error: Problem) => error);
  t.match(await refusal(one('tickets', 5)), {
    code: 'out_of_bounds',
    message: '"tickets" is 98, and its max is 100: 2 would fit, not 5',
    members: { name: 'tickets', value: 98, min: 0, max: 100, fits: 2 },
  });
  t.match(await refusal(one('floor', -5)), { members: { name: 'floor', value: 3, min: -1, fits: -4 } });
  const addition = { name: 'tickets', by: 3 };
  const subtraction = { name: 'tickets', by: -3 };
  t.match(
    await refusal({ increments: [{ name: 'other', by: 1 }, addition, subtraction] }),
    { members: { value: 98, fits: 2 } },
    'a bound that only a partial sum exceeds counts as well',
  );
  t.match(
    await refusal(one('floor', VALUE_MAX)),
    { code: 'out_of_range' },
    'without a max, the range of all counters is the bound',
  );
  const problem = await refusal({ ...one('tickets'), increments: [addition, subtraction], partial: true });
  t.match(problem, { code: 'invalid_request' });
  t.match(await refusal({ increments: [] }), { code: 'invalid_request' });
});

t.test('the bounds of a counter that another replica creates during the statement apply', async (t) => {
  const { sessions, databaseUrl, client, create } = await setUp(t);
  await create('full', { value: 0, min: 0, max: 0 });
  const writer = writerOn(sessions);
  // From here on, the counter is known to be full, and the selective statement comes first.
  await outcomeOf(writer, one('full'));
  const other = await testClient(t, databaseUrl);
  await other.query(`begin; insert into counters (name, value, max) values ('late', 1, 1)`);
  const outcomes = outcomesOf(writer, [one('full'), one('late'), one('free')]);
  await oneIsBlocked(client);
  await other.query('commit');
  t.strictSame(await outcomes, ['out_of_bounds: full is 0', 'out_of_bounds: late is 1', [1]]);
});

t.test(
  'a request that another replica counts during the statement is replayed, and not refused for lack of room',
  async (t) => {
    const { sessions, databaseUrl, client, create } = await setUp(t);
    await create('tickets', { value: 0, min: 0, max: 1 });
    const writer = writerOn(sessions);
    // From here on, the counter is known to be full, and the selective statement comes first.
    await outcomeOf(writer, one('tickets', 2));
    // As another replica does that counts the first attempt of the same request.
    const other = await testClient(t, databaseUrl);
    await other.query(`begin; update counters set value = 1`);
    await other.query(`insert into idempotency_keys values ('key', $1, '{1}', now() + interval '1 day')`, [
      fingerprintOf(one('tickets')),
    ]);
    const outcomes = outcomesOf(writer, [one('tickets', 1, 'key'), one('tickets', 1, 'late'), one('free')]);
    await oneIsBlocked(client);
    await other.query('commit');
    t.strictSame(await outcomes, [[1], 'out_of_bounds: tickets is 1', [1]]);
  },
);

t.test('if the lookup of refused keys fails, only the refused requests with keys fail', async (t) => {
  const { sessions, create, valueOf } = await setUp(t);
  await create('tickets', { value: 0, min: 0, max: 1 });
  const down: Query = {
    query: async (statement) => {
      if (statementName(statement) === 'known-keys')
        throw new ConnectionError('unavailable', 'the server is unreachable');
      return sessions.query(statement);
    },
  };
  const writer = writerOn(down);
  const outcomes = [one('tickets', 1, 'first'), one('tickets', 1, 'second'), one('tickets'), one('free')].map(
    (request) =>
      writer.submit(request).then(
        ({ values }) => values,
        (error: Error) => error.name,
      ),
  );
  t.strictSame(await Promise.all(outcomes), [[1], 'ConnectionError', 'Problem', [1]]);
  t.equal(await valueOf('tickets'), 1);
});

t.test('a locked counter that turns out to be sold out leaves quarantine', async (t) => {
  const { sessions, databaseUrl, create } = await setUp(t);
  await create('tickets', { value: 1, min: 0, max: 1 });
  const holder = await testClient(t, databaseUrl);
  await holder.query(`begin; select from counters for update`);
  const writer = writerOn(sessions, { lockedMsMax: UNLIMITED_MS }, 50);
  const pending = outcomeOf(writer, one('tickets'));
  await until(async () => writer.quarantined === 1);
  await holder.query('rollback');
  t.equal(await pending, 'out_of_bounds: tickets is 1');
  const next = outcomeOf(writer, one('tickets'));
  t.equal(writer.quarantined, 0);
  t.equal(await next, 'out_of_bounds: tickets is 1');
});

t.test(
  'the table enforces the bounds on every write, also on those of an earlier version of the service',
  async (t) => {
    const { client, create } = await setUp(t);
    await create('tickets', { value: 99, min: 0, max: 100 });
    const add = (by: number) =>
      client.query(
        `insert into counters as c (name, value) values ('tickets', $1)
       on conflict (name) do update set value = c.value + excluded.value`,
        [by],
      );
    await add(1);
    await t.rejects(add(1), { code: '23514' });
    await t.rejects(add(-101), { code: '23514' });
    await t.rejects(client.query('update counters set max = 99'), { code: '23514' });
    await t.rejects(client.query('update counters set min = 9007199254740993'), { code: '23514' });
  },
);

t.test(
  'if the answer cannot be settled, the outcome is unknown, and a retry with the key finds it out',
  async (t) => {
    const { sessions, create } = await setUp(t);
    await create('tickets', { value: 0, min: 0, max: 1 });
    let sent = false;
    const unreachable: Query = {
      async query(statement) {
        if (sent) throw lost();
        const result = await sessions.query(statement);
        if (statementName(statement) !== 'write-selective') return result as never;
        sent = true;
        throw lost();
      },
    };
    const writer = writerOn(unreachable, { settleMsMax: 50 });
    const requests = [one('tickets', 1, 'first'), one('tickets', 1, 'second')];
    t.strictSame(await outcomesOf(writer, requests), ['outcome_unknown', 'outcome_unknown']);
    t.strictSame(await outcomesOf(writerOn(sessions), requests), [[1], 'out_of_bounds: tickets is 1']);
  },
);

const othersOf = (bulk: number) => Array.from({ length: 999 }, (_, i) => ({ name: `${bulk} ${i}`, by: 1 }));

t.test(
  'many bulks that share a full counter are decided a few at a time, and all of them are answered',
  async (t) => {
    const { sessions, create, valueOf } = await setUp(t);
    await create('full', { value: 0, min: null, max: 2 });
    const countersOfStatements: number[] = [];
    const watched: Query = {
      query: (statement) => {
        if (statementName(statement) === 'write-selective')
          countersOfStatements.push((statement.values[3] as string[]).length);
        return sessions.query(statement);
      },
    };
    const bulks = Array.from({ length: 5 }, (_, bulk) => ({
      increments: [{ name: 'full', by: 1 }, ...othersOf(bulk)],
    }));
    const outcomes = await outcomesOf(writerOn(watched), [...bulks, one('neighbour')]);
    const refused = 'out_of_bounds: full is 2';
    t.strictSame(
      outcomes.map((outcome) => (typeof outcome === 'string' ? outcome : outcome[0])),
      [1, 2, refused, refused, refused, 1],
    );
    for (const [name, value] of Object.entries({ full: 2, '0 0': 1, '1 998': 1, '2 0': undefined }))
      t.equal(await valueOf(name), value, name);
    t.ok(Math.max(...countersOfStatements) <= 2000, `${countersOfStatements.join()} counters`);
  },
);

t.test('a bulk is decided in one step, whether it fits or not', async (t) => {
  const { sessions, client, create } = await setUp(t);
  await create('full', { value: 1, min: 0, max: 1 });
  const steps: unknown[] = [];
  const explained: Query = {
    async query(statement) {
      if (statementName(statement) === 'write-selective') {
        await client.query('begin');
        const { rows } = await client.query(`explain (analyze, format json) ${statement.text}`, [
          ...statement.values,
        ]);
        await client.query('rollback');
        const [{ Plan: plan }] = rows[0]['QUERY PLAN'];
        const fold = plan.Plans.find((each: Record<string, unknown>) => each['Subplan Name'] === 'CTE fold');
        steps.push(fold['Actual Rows']);
      }
      return sessions.query(statement);
    },
  };
  const writer = writerOn(explained);
  for (const [by, outcome] of [
    [1, 'out_of_bounds: full is 1'],
    [-1, [...othersOf(0).map(() => 1), 0]],
  ] as const)
    t.strictSame(await outcomeOf(writer, { increments: [...othersOf(0), { name: 'full', by }] }), outcome);
  t.strictSame(steps, [2, 2], 'one row for the beginning, and one for the bulk');
});

import assert from 'node:assert/strict';
import t, { type Test } from 'tap';
import { VALUE_MAX } from '../../src/counters/counter.ts';
import {
  type Counted,
  type CounterRequest,
  type IncrementRequest,
  pendingOf,
} from '../../src/counters/request.ts';
import type { CounterWriter } from '../../src/counters/writer.ts';
import type { PreparedStatement } from '../../src/database/guarded-connection.ts';
import { Problem } from '../../src/errors/problem.ts';
import { testClient, until } from '../helper.ts';
import { fc } from '../property.ts';
import { anyLoad, PLACES } from './any-request.ts';
import { BoundsModel, isWindow, type ModelOutcome } from './bounds-model.ts';
import { replaceRows, rowsIn, rowsOfModel } from './model-rows.ts';
import {
  blocked,
  one,
  setUp as setUpReplica,
  valuesIn,
  writerOn as openWriter,
  type WriterOptions,
} from './replica.ts';
import { commits, interrupted, lost, type Query, statementName, unreliable } from './unreliable.ts';

/** A lock timeout longer than any of these tests: a statement that waits for a lock keeps waiting. */
const UNLIMITED_MS = 60_000;

const writerOn = (sessions: Query, options: WriterOptions = {}) =>
  openWriter(sessions, { lockMsMax: UNLIMITED_MS, ...options });

const partial = (name: string, by: number, key?: string) => ({ ...one(name, by, key), partial: true });

/** The values of a request and what was added of a partial one, or the code of its problem with the counter and its value. */
async function outcomeOf(writer: CounterWriter, request: IncrementRequest): Promise<number[] | string> {
  try {
    const { values, added } = (await writer.submit(request)) as Counted;
    return added === undefined ? values : [...values, added];
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const { code, members } = error;
    return members ? `${code}: ${String(members.name)} is ${String(members.value)}` : code;
  }
}

const outcomesOf = (writer: CounterWriter, requests: readonly IncrementRequest[]) =>
  Promise.all(requests.map((request) => outcomeOf(writer, request)));

interface Bounded {
  value: number;
  min: number | null;
  max: number | null;
}

async function setUp(t: Test) {
  const { sessions, databaseUrl, client } = await setUpReplica(t);
  const create = (name: string, { value, min, max }: Bounded) =>
    client.query('insert into safe_counters.counters (name, value, min, max) values ($1, $2, $3, $4)', [
      name,
      value,
      min,
      max,
    ]);
  const valueOf = async (name: string) => (await valuesIn(client))[name];
  return { sessions, databaseUrl, client, create, valueOf };
}

/** Records what writes or settles batches: the names of statements, and `decide` for each transaction. */
function counting(sessions: Query) {
  const sent: string[] = [];
  const counted: Query = {
    query: (statement: PreparedStatement) => {
      if (!['register', ''].includes(statementName(statement))) sent.push(statementName(statement));
      return sessions.query(statement);
    },
    transaction: (work) => {
      sent.push('decide');
      return sessions.transaction(work);
    },
  };
  return { sent, sessions: counted };
}

const modelled = (writer: CounterWriter, request: CounterRequest): Promise<ModelOutcome> =>
  writer.submit(request).then(
    (answer) => ({ ...answer }),
    (error: unknown) => {
      if (!(error instanceof Problem)) throw error;
      const { code, members, retryAfterS } = error;
      return { code, ...members, ...(retryAfterS === undefined ? {} : { later: true }) };
    },
  );

t.test(
  'requests that are written together have the same outcomes and the same effect as one after another',
  async (t) => {
    const { sessions, client } = await setUp(t);
    const now = Date.now();
    t.intercept(Date, 'now', { value: () => now });
    const load = fc.record({
      load: anyLoad({ batchesMax: 3, requestsMax: 25 }),
      expired: fc.subarray(PLACES),
    });
    await fc.assert(
      fc.asyncProperty(load, async ({ load: { rows, batches }, expired }) => {
        await client.query('delete from safe_counters.idempotency_keys');
        const model = new BoundsModel(now, (place) => (isWindow(place) ? Number.POSITIVE_INFINITY : null));
        const stored = new Map(rows);
        for (const [place, row] of rows) {
          if (expired.includes(place)) stored.set(place, { ...row, expiresAt: now - 60_000 });
          else model.rows.set(place, row);
        }
        await replaceRows(client, stored, now);
        const writer = writerOn(sessions);
        for (const requests of batches) {
          const outcomes = await Promise.all(requests.map((request) => modelled(writer, request)));
          const expected = requests.map((request) => model.submit(request));
          assert.deepEqual(outcomes, expected);
        }
        assert.deepEqual(await rowsIn(client), rowsOfModel(model.rows));
      }),
      { numRuns: 80 },
    );
    t.pass();
  },
);

t.test(
  'a batch with 800 refusals takes two transactions, or one if the counter is known to be full',
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
    t.strictSame(sent, ['write', 'decide']);
    sent.length = 0;
    await outcomesOf(writer, requests);
    t.strictSame(sent, ['decide'], 'a counter that is known to be full is decided at once');
    sent.length = 0;
    t.strictSame(await outcomeOf(writer, one('tickets', -100)), [0]);
    t.strictSame(await outcomeOf(writer, one('tickets', 1)), [1]);
    t.strictSame(sent, ['decide', 'write-one'], 'until it has room again, and is written as a whole');
    t.equal(await valueOf('tickets'), 1);
  },
);

t.test(
  'each of three replicas that contend for a counter needs no more transactions than one replica alone',
  async (t) => {
    const { sessions, create, valueOf } = await setUp(t);
    await create('tickets', { value: 0, min: null, max: 250 });
    const replicas = Array.from({ length: 3 }, () => counting(sessions));
    const retried: string[] = [];
    const events = { retried: (reason: string) => void retried.push(reason) };
    const writers = replicas.map((replica) => writerOn(replica.sessions, { events }));
    const outcomes = await Promise.all(
      writers.flatMap((writer, w) =>
        Array.from({ length: 300 }, (_, i) =>
          outcomeOf(writer, one('tickets', 1, i % 2 ? `${w} ${i}` : undefined)),
        ),
      ),
    );
    t.strictSame(retried, []);
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

const fault = fc.constantFrom('none', 'none', 'broken', 'lost before', 'lost after', 'conflict');

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
  const { sent, sessions: counted } = counting(unreliable(sessions, ['lost after', 'lost after']));
  const writer = writerOn(counted);
  const requests = [one('tickets', 4, 'a'), one('tickets', 2), partial('tickets', 2, 'b'), one('other', 7)];
  const outcomes = await outcomesOf(writer, requests);
  t.strictSame(outcomes, [[4], 'out_of_bounds: tickets is 4', [5, 1], [7]]);
  t.strictSame(sent, ['decide', 'close', 'close']);
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
  t.equal((await client.query('select from safe_counters.idempotency_keys')).rowCount, 0);
  await writer.submit(one('tickets', -1));
  t.strictSame(await writer.submit(one('tickets', 1, 'key')), { values: [100], replayed: false });
  t.strictSame(await writer.submit(one('tickets', 1, 'key')), { values: [100], replayed: true });
  // A partial increment that adds nothing is counted, too, and its answer is stored.
  const nothing = { values: [100], added: 0 };
  t.strictSame(await writer.submit(partial('tickets', 3, 'part')), { ...nothing, replayed: false });
  await writer.submit(one('tickets', -50));
  t.strictSame(await writer.submit(partial('tickets', 3, 'part')), { ...nothing, replayed: true });
  t.equal(await outcomeOf(writer, one('tickets', 3, 'part')), 'key_reused');
});

t.test(
  'refused requests leave no row behind, whether others of their batch are written or not',
  async (t) => {
    const { sessions, client, create } = await setUp(t);
    await create('full', { value: 1, min: 0, max: 1 });
    const writer = writerOn(sessions);
    const refused = 'out_of_bounds: full is 1';
    const bulk = { increments: ['new', 'full', 'other'].map((name) => ({ name, by: 1 })), key: 'refused' };
    const window = { increments: [{ name: 'new', by: 1, min: 5, window: '1m' }] };
    const inWindow = 'out_of_bounds: new is 0';
    const deletion = { name: 'absent', change: undefined, precondition: 'exists' } as const;
    const tables = async () => {
      const { rows } = await client.query(
        `select (select json_agg(array[period, name, value::text] order by name) from safe_counters.counters) as counters,
              (select count(*)::int from safe_counters.idempotency_keys) as keys`,
      );
      return rows[0];
    };
    for (let i = 0; i < 2; i += 1)
      t.strictSame(await outcomesOf(writer, [bulk, window]), [refused, inWindow]);
    const full = ['', 'full', '1'];
    t.strictSame(await tables(), { counters: [full], keys: 0 });
    const [absent, ...outcomes] = await Promise.all([
      writer.submit(deletion),
      ...[bulk, one('free'), window].map((request) => outcomeOf(writer, request)),
    ]);
    t.strictSame(absent, { state: null, replaced: null, replayed: false });
    t.strictSame(outcomes, [refused, [1], inWindow]);
    t.strictSame(await tables(), { counters: [['', 'free', '1'], full], keys: 0 });
  },
);

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
  for (const [own, fits] of [
    [{ by: 5, max: 99 }, 1],
    [{ by: 5, min: 99 }, 2],
    [{ by: 5, min: 101 }, 0],
    [{ by: -99, min: 90 }, -8],
  ] as const)
    t.match(
      await refusal({ increments: [{ name: 'tickets', ...own }] }),
      { members: { value: 98, fits } },
      'what fits obeys the bounds of the counter and of the increment',
    );
  t.match(
    await refusal(one('floor', VALUE_MAX)),
    { code: 'out_of_range' },
    'without a max, the range of all counters is the bound',
  );
  const problem = await refusal({ increments: [addition, subtraction], partial: true });
  t.match(problem, { code: 'invalid_request' });
  t.match(await refusal({ increments: [] }), { code: 'invalid_request' });
});

t.test('the bounds of a counter that another replica creates during the decision apply', async (t) => {
  const { sessions, databaseUrl, client, create } = await setUp(t);
  await create('full', { value: 0, min: 0, max: 0 });
  const writer = writerOn(sessions);
  // From here on, the counter is known to be full, and its requests are decided at once.
  await outcomeOf(writer, one('full'));
  const other = await testClient(t, databaseUrl);
  await other.query(`begin; insert into safe_counters.counters (name, value, max) values ('late', 1, 1)`);
  const outcomes = outcomesOf(writer, [one('full'), one('late'), one('free')]);
  await blocked(client);
  await other.query('commit');
  t.strictSame(await outcomes, ['out_of_bounds: full is 0', 'out_of_bounds: late is 1', [1]]);
});

t.test(
  'a request that another replica counts during the decision is replayed, and not refused for lack of room',
  async (t) => {
    const { sessions, databaseUrl, client, create } = await setUp(t);
    await create('tickets', { value: 0, min: 0, max: 1 });
    const writer = writerOn(sessions);
    // From here on, the counter is known to be full, and its requests are decided at once.
    await outcomeOf(writer, one('tickets', 2));
    // As another replica does that counts the first attempt of the same request.
    const other = await testClient(t, databaseUrl);
    const { key, fingerprint } = pendingOf(one('tickets', 1, 'key'));
    await other.query(`begin; update safe_counters.counters set value = 1`);
    await other.query(
      `insert into safe_counters.idempotency_keys
       values (decode($1, 'hex'), decode($2, 'hex'), '{"value": 1}', now() + interval '1 day')`,
      [key, fingerprint],
    );
    const outcomes = outcomesOf(writer, [one('tickets', 1, 'key'), one('tickets', 1, 'late'), one('free')]);
    await blocked(client);
    await other.query('commit');
    t.strictSame(await outcomes, [[1], 'out_of_bounds: tickets is 1', [1]]);
  },
);

t.test('a locked counter that turns out to be sold out leaves the waiting room', async (t) => {
  const { sessions, databaseUrl, create } = await setUp(t);
  await create('tickets', { value: 1, min: 0, max: 1 });
  const holder = await testClient(t, databaseUrl);
  await holder.query(`begin; select from safe_counters.counters for update`);
  const writer = writerOn(sessions, { lockedMsMax: UNLIMITED_MS, lockMsMax: 50 });
  const pending = outcomeOf(writer, one('tickets'));
  await until(async () => writer.held === 1);
  await holder.query('rollback');
  t.equal(await pending, 'out_of_bounds: tickets is 1');
  const next = outcomeOf(writer, one('tickets'));
  t.equal(writer.held, 0);
  t.equal(await next, 'out_of_bounds: tickets is 1');
});

t.test('the table enforces the bounds on every write, also on those of other programs', async (t) => {
  const { client, create } = await setUp(t);
  await create('tickets', { value: 99, min: 0, max: 100 });
  const add = (by: number) =>
    client.query(
      `insert into safe_counters.counters as c (name, value) values ('tickets', $1)
       on conflict (period, name, starts_at) do update set value = c.value + excluded.value`,
      [by],
    );
  await add(1);
  await t.rejects(add(1), { code: '23514' });
  await t.rejects(add(-101), { code: '23514' });
  for (const column of ['max = 99', 'min = 9007199254740993', 'min = 101', `exists_until = 'infinity'`])
    await t.rejects(client.query(`update safe_counters.counters set ${column}`), { code: '23514' }, column);
});

t.test(
  'if the answer cannot be settled, the outcome is unknown, and a retry with the key finds it out',
  async (t) => {
    const { sessions, create } = await setUp(t);
    await create('tickets', { value: 0, min: 0, max: 1 });
    let sent = false;
    const unreachable: Query = {
      query: async (statement) => {
        if (sent) throw lost();
        return sessions.query(statement);
      },
      transaction: (work) =>
        sessions.transaction((send) =>
          work(async (statements) => {
            const results = await send(statements);
            if (!commits(statements.map(({ text }) => text))) return results;
            sent = true;
            throw lost();
          }),
        ),
    };
    const writer = writerOn(unreachable, { settleMsMax: 50 });
    const requests = [one('tickets', 1, 'first'), one('tickets', 1, 'second')];
    t.strictSame(await outcomesOf(writer, requests), ['outcome_unknown', 'outcome_unknown']);
    t.strictSame(await outcomesOf(writerOn(sessions), requests), [[1], 'out_of_bounds: tickets is 1']);
  },
);

t.test('a refusal of all requests needs no commit, so it is not lost with the connection', async (t) => {
  const { sessions, create, valueOf } = await setUp(t);
  await create('full', { value: 1, min: 0, max: 1 });
  let roundTrips = 0;
  const counted = interrupted(sessions, (texts) => {
    roundTrips += 1;
    if (commits(texts)) throw lost();
  });
  const writer = writerOn(counted);
  t.strictSame(await outcomesOf(writer, [one('full'), one('full', 2, 'key')]), [
    'out_of_bounds: full is 1',
    'out_of_bounds: full is 1',
  ]);
  t.equal(roundTrips, 1);
  t.equal(await valueOf('full'), 1);
});

t.test(
  'a replica that stops during a decision holds its locks for about a second, and then decides again',
  async (t) => {
    const { sessions, create, valueOf } = await setUp(t);
    await create('tickets', { value: 0, min: 0, max: 9 });
    const stopped = Promise.withResolvers<void>();
    const resumed = Promise.withResolvers<void>();
    let commitsSent = 0;
    const stopping = interrupted(sessions, async (texts) => {
      if (!commits(texts)) return;
      commitsSent += 1;
      stopped.resolve();
      await resumed.promise;
    });
    const pending = outcomeOf(writerOn(stopping), partial('tickets', 4, 'key'));
    await stopped.promise;
    const other = writerOn(sessions, { lockedMsMax: UNLIMITED_MS });
    t.strictSame(await outcomeOf(other, one('tickets', 7)), [7]);
    resumed.resolve();
    t.strictSame(await pending, [9, 2]);
    t.equal(commitsSent, 2);
    t.equal(await valueOf('tickets'), 9);
  },
);

const othersOf = (bulk: number) => Array.from({ length: 999 }, (_, i) => ({ name: `${bulk} ${i}`, by: 1 }));

t.test(
  'of many bulks that share a full counter, those that fit are counted, and all are answered',
  async (t) => {
    const { sessions, create, valueOf } = await setUp(t);
    await create('full', { value: 0, min: null, max: 2 });
    const bulks = Array.from({ length: 5 }, (_, bulk) => ({
      increments: [{ name: 'full', by: 1 }, ...othersOf(bulk)],
    }));
    const outcomes = await outcomesOf(writerOn(sessions), [...bulks, one('neighbour')]);
    const refused = 'out_of_bounds: full is 2';
    t.strictSame(
      outcomes.map((outcome) => (typeof outcome === 'string' ? outcome : outcome[0])),
      [1, 2, refused, refused, refused, 1],
    );
    for (const [name, value] of Object.entries({ full: 2, '0 0': 1, '1 998': 1, '2 0': undefined }))
      t.equal(await valueOf(name), value, name);
  },
);

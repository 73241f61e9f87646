import * as fc from 'fast-check';
import t from 'tap';
import type { IncrementRequest } from '../../src/counters/batch.ts';
import { VALUE_MAX } from '../../src/counters/counter.ts';
import { CounterStore } from '../../src/counters/store.ts';
import { CounterWriter, type WriterEvents } from '../../src/counters/writer.ts';
import { ConnectionError } from '../../src/database/failure.ts';
import type { PreparedStatement, Sessions } from '../../src/database/sessions.ts';
import { Problem } from '../../src/errors/problem.ts';
import { testClient, testOrm, until } from '../helper.ts';

const unheard: WriterEvents = { written: () => {}, retried: () => {}, settled: () => {}, replayed: () => {} };

type Query = Pick<Sessions, 'query'>;

const writerOn = (sessions: Query, events = unheard, settleMsMax?: number) =>
  new CounterWriter(new CounterStore(sessions, 24), events, { settleMsMax });

const one = (name: string, by = 1, key?: string): IncrementRequest => ({ increments: [{ name, by }], key });

/** What a request came to: its values, or the code of its problem. */
const ended = (writer: CounterWriter, request: IncrementRequest) =>
  writer.submit(request).then(
    ({ values }) => values,
    (error: unknown) => (error instanceof Problem ? error.code : String(error)),
  );

async function valuesIn(sessions: Query): Promise<Record<string, number>> {
  const { rows } = await sessions.query<{ name: string; value: string }>({
    name: 'all',
    text: 'select name, value from counters order by name',
    values: [],
  });
  return Object.fromEntries(rows.map(({ name, value }) => [name, Number(value)]));
}

t.test('those who wait together are written by one commit, in their order', async (t) => {
  const { sessions } = await testOrm(t);
  const batches: number[] = [];
  const writer = writerOn(sessions, { ...unheard, written: (increments) => batches.push(increments) });
  const ends = await Promise.all([3, -1, 10].map((by) => ended(writer, one('likes', by))));
  t.strictSame(ends, [[3], [2], [12]]);
  t.strictSame(batches, [3]);
  t.strictSame(await valuesIn(sessions), { likes: 12 });
});

const lost = () => new ConnectionError('unknown', 'the connection was lost');

/** A connection that breaks at first: before the statement arrives, or after it was done. */
function unreliable(sessions: Query, fates: readonly string[]): Query {
  let next = 0;
  return {
    async query(statement: PreparedStatement) {
      const fate = fates[next++];
      if (fate === 'lost before') throw lost();
      if (fate === 'conflict') throw Object.assign(new Error('could not serialize'), { code: '40001' });
      const result = await sessions.query(statement);
      if (fate === 'lost after') throw lost();
      return result;
    },
  } as Query;
}

const fate = fc.constantFrom('fine', 'fine', 'lost before', 'lost after', 'conflict');
const load = fc.record({
  fates: fc.tuple(fc.array(fate, { maxLength: 8 }), fc.array(fate, { maxLength: 8 })),
  requests: fc.array(
    fc.record({
      increments: fc.array(
        fc.record({ name: fc.constantFrom('a', 'b', 'ü/"\\{}'), by: fc.integer({ min: -9, max: 9 }) }),
        { minLength: 1, maxLength: 3 },
      ),
      key: fc.option(fc.integer({ min: 0, max: 8 }), { nil: undefined }),
      replica: fc.integer({ min: 0, max: 1 }),
      again: fc.boolean(),
    }),
    { minLength: 1, maxLength: 30 },
  ),
});

t.test('two replicas, lost answers, conflicts and keys used again: each request counts once', async (t) => {
  const { sessions } = await testOrm(t);
  let run = 0;
  await fc.assert(
    fc.asyncProperty(load, async ({ fates, requests }) => {
      run += 1;
      const writers = fates.map((some) => writerOn(unreliable(sessions, some)));
      const named = requests.map(({ increments, key, replica, again }) => ({
        request: {
          increments: increments.map(({ name, by }) => ({ name: `${run} ${name}`, by })),
          key: key === undefined ? undefined : `${run} ${key}`,
        },
        replica,
        again,
      }));
      const sent = named.flatMap(({ request, replica, again }) => {
        const first = { request, end: ended(writers[replica] as CounterWriter, request) };
        if (!again || !request.key) return [first];
        return [first, { request, end: ended(writers[1 - replica] as CounterWriter, request) }];
      });
      const ends = await Promise.all(sent.map(({ end }) => end));
      const counted = new Map<string, string>();
      const sums: Record<string, number> = {};
      for (const [i, { request }] of sent.entries()) {
        const end = ends[i];
        if (end === 'key_reused') {
          if (request.key === undefined) throw new Error('refused for a key that it does not have');
          continue;
        }
        if (!Array.isArray(end)) throw new Error(String(end));
        // The same key: the same answer, and no second time.
        const known = request.key === undefined ? undefined : counted.get(request.key);
        if (known !== undefined) {
          if (known !== JSON.stringify(end)) throw new Error(`${known}, then ${JSON.stringify(end)}`);
          continue;
        }
        if (request.key !== undefined) counted.set(request.key, JSON.stringify(end));
        for (const { name, by } of request.increments) sums[name] = (sums[name] ?? 0) + by;
      }
      const values = await valuesIn(sessions);
      for (const [name, sum] of Object.entries(sums)) {
        if (values[name] !== sum) throw new Error(`${name} is ${values[name]}, and ${sum} was acknowledged`);
      }
    }),
    { numRuns: 60 },
  );
  t.pass();
});

t.test('the answer after a lost one is the one that was lost', async (t) => {
  const { sessions } = await testOrm(t);
  const settled: string[] = [];
  const events = { ...unheard, settled: (outcome: string) => settled.push(outcome) };
  const writer = writerOn(unreliable(sessions, ['lost after', 'lost after']), events);
  const ends = await Promise.all([one('b', 5), one('a', 2, 'key'), one('b', 1)].map((r) => ended(writer, r)));
  t.strictSame(ends, [[5], [2], [6]]);
  t.strictSame(settled, ['applied']);
  const refused = writerOn(unreliable(sessions, ['lost before']), events);
  t.strictSame(await ended(refused, one('b', 1)), [7]);
  t.strictSame(settled, ['applied', 'not applied']);
});

t.test('a lost statement that arrives after it was settled does nothing', async (t) => {
  const { sessions } = await testOrm(t);
  const late: (() => Promise<unknown>)[] = [];
  const delayed: Query = {
    query: async (statement) => {
      if (statement.name !== 'write' || late.length > 0) return sessions.query(statement);
      late.push(() => sessions.query(statement));
      throw new ConnectionError('unknown', 'the connection was lost');
    },
  };
  const writer = writerOn(delayed);
  t.strictSame(await ended(writer, one('likes')), [1]);
  await t.rejects(late[0]?.() ?? Promise.resolve(), { code: '23505' });
  t.strictSame(await valuesIn(sessions), { likes: 1 });
});

t.test(
  'one that leaves the range is refused alone, and so is one that would only pass through',
  async (t) => {
    const { sessions } = await testOrm(t);
    const writer = writerOn(sessions);
    await writer.submit(one('full', VALUE_MAX - 1));
    const ends = await Promise.all(
      [
        one('full', 5),
        one('other', 7),
        one('full', -10),
        one('full', 1),
        one('low', -VALUE_MAX),
        one('low', -1),
      ].map((request) => ended(writer, request)),
    );
    t.strictSame(ends, [
      'out_of_range',
      [7],
      [VALUE_MAX - 11],
      [VALUE_MAX - 10],
      [-VALUE_MAX],
      'out_of_range',
    ]);
    const bulk = {
      increments: [
        { name: 'other', by: 1 },
        { name: 'low', by: -1 },
      ],
      key: 'bulk',
    };
    t.strictSame(await Promise.all([bulk, one('other', 1)].map((request) => ended(writer, request))), [
      'out_of_range',
      [8],
    ]);
    t.equal(
      await ended(writer, {
        increments: [
          { name: 'x', by: VALUE_MAX },
          { name: 'x', by: -1 },
        ],
      }),
      'out_of_range',
    );
    t.strictSame(await valuesIn(sessions), { full: VALUE_MAX - 10, low: -VALUE_MAX, other: 8 });
  },
);

t.test('sums that no double can hold are written in parts', async (t) => {
  const { sessions } = await testOrm(t);
  const writer = writerOn(sessions);
  await writer.submit(one('likes', -VALUE_MAX));
  const ends = await Promise.all([VALUE_MAX, VALUE_MAX - 1, 1].map((by) => ended(writer, one('likes', by))));
  t.strictSame(ends, [[0], [VALUE_MAX - 1], [VALUE_MAX]]);
});

t.test('while somebody keeps a counter locked, only those who want that one are refused', async (t) => {
  const { sessions, databaseUrl } = await testOrm(t, { LOCK_TIMEOUT_MS: '100' });
  const writer = writerOn(sessions);
  await Promise.all([writer.submit(one('locked')), writer.submit(one('free'))]);
  const other = await testClient(t, databaseUrl);
  await other.query(`begin; select from counters where name = 'locked' for update`);
  const both = {
    increments: [
      { name: 'free', by: 1 },
      { name: 'locked', by: 1 },
    ],
  };
  const ends = await Promise.all([one('locked'), one('free'), both].map((request) => ended(writer, request)));
  t.strictSame(ends, ['busy', [2], 'busy']);
  // From now on without waiting: its lock timeout would be everybody's.
  t.equal(await ended(writer, one('locked')), 'busy');
  await other.query('commit');
  await until(async () => Array.isArray(await ended(writer, one('locked'))));
  t.match(await valuesIn(sessions), { free: 2, locked: Number });
});

t.test('when the database cannot be asked any more, the outcome is said to be unknown', async (t) => {
  const { sessions } = await testOrm(t);
  const gone = {
    async query(statement: PreparedStatement) {
      if (statement.name === 'close') throw new ConnectionError('unavailable', 'cannot connect');
      await sessions.query(statement);
      throw new ConnectionError('unknown', 'the connection was lost');
    },
  } as Query;
  const settled: string[] = [];
  const writer = writerOn(gone, { ...unheard, settled: (outcome) => settled.push(outcome) }, 50);
  const end = await ended(writer, one('likes', 1, 'key'));
  t.equal(end, 'outcome_unknown');
  t.strictSame(settled, ['unknown']);
  // And the key finds it out.
  t.strictSame(await writerOn(sessions).submit(one('likes', 1, 'key')), { values: [1], replayed: true });
});

t.test('what was refused stays refused when it cannot be found out whose fault it was', async (t) => {
  const broken: Query = {
    query: async ({ name }) => {
      if (name === 'write') throw Object.assign(new Error('lock timeout'), { code: '55P03' });
      throw lost();
    },
  };
  await t.rejects(writerOn(broken).submit(one('likes')), { code: '55P03' });
});

t.test('a process that was stopped for longer than receipts are kept does not guess', async (t) => {
  const { sessions } = await testOrm(t);
  const now = Date.now;
  t.teardown(() => void (Date.now = now));
  const stopped = {
    async query(statement: PreparedStatement) {
      if (statement.name !== 'write-keyed') throw new TypeError(`${statement.name} would find nothing`);
      await sessions.query(statement);
      Date.now = () => now() + 3_600_000;
      throw lost();
    },
  } as Query;
  t.equal(await ended(writerOn(stopped), one('likes', 1, 'key')), 'outcome_unknown');
  Date.now = now;
  t.match(await writerOn(sessions).submit(one('likes', 1, 'key')), { values: [1], replayed: true });
});

t.test('who has hung up before the batch begins is not counted', async (t) => {
  const { sessions } = await testOrm(t);
  const writer = writerOn(sessions);
  const ends = await Promise.all([
    ended(writer, { ...one('likes'), abandoned: () => true }),
    ended(writer, { ...one('likes'), abandoned: () => false }),
  ]);
  t.strictSame(ends, ['client_gone', [1]]);
});

t.test('keys and receipts are removed when they have expired, and not before', async (t) => {
  const { sessions, databaseUrl } = await testOrm(t);
  const client = await testClient(t, databaseUrl);
  const store = new CounterStore(sessions, 24);
  const writer = new CounterWriter(store, unheard);
  for (const key of ['old', 'new', 'held']) await writer.submit(one('likes', 1, key));
  const kept = await client.query(
    `select extract(epoch from expires_at - now()) / 3600 as hours from idempotency_keys`,
  );
  t.ok(kept.rows.every(({ hours }) => Number(hours) > 23.9 && Number(hours) <= 24));
  t.equal(await store.removeExpired(10), 0);
  await client.query(`update idempotency_keys set expires_at = now() - interval '1 s' where key <> 'new'`);
  await client.query(`update counter_receipts set expires_at = now() - interval '1 s'`);
  const holder = await testClient(t, databaseUrl);
  await holder.query(`begin; select from idempotency_keys where key = 'held' for update`);
  t.equal(await store.removeExpired(10), 4, 'without waiting for the one that is locked');
  await holder.query('rollback');
  t.equal(await store.removeExpired(10), 1);
  t.match(await writer.submit(one('likes', 1, 'new')), { replayed: true });
  t.match(await writer.submit(one('likes', 1, 'old')), { replayed: false });
});

import * as fc from 'fast-check';
import t from 'tap';
import { VALUE_MAX } from '../../src/counters/counter.ts';
import type { IncrementRequest } from '../../src/counters/request.ts';
import { CounterStore } from '../../src/counters/store.ts';
import { CounterWriter, type WriterEvents, type WriterLimits } from '../../src/counters/writer.ts';
import { ConnectionError } from '../../src/database/failure.ts';
import type { PreparedStatement } from '../../src/database/sessions.ts';
import { Problem } from '../../src/errors/problem.ts';
import { testClient, testOrm } from '../helper.ts';
import { act, forgetWriters, lost, type Query, unreliable } from './unreliable.ts';

const unheard: WriterEvents = { written: () => {}, retried: () => {}, settled: () => {}, replayed: () => {} };

const storeOn = (sessions: Query) => new CounterStore(sessions, { keyHours: 24, lockMsMax: 100 });

const writerOn = (sessions: Query, events = unheard, limits: WriterLimits = {}) =>
  new CounterWriter(storeOn(sessions), events, limits);

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

const fate = fc.constantFrom('fine', 'fine', 'lost before', 'lost after', 'conflict', 'paused');
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

t.test(
  'two replicas, lost answers, pauses, conflicts and keys used again: each request counts once',
  async (t) => {
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
        // What perhaps counts: requests without a key that nothing can be found out about.
        const open = new Map<string, number>();
        for (const [i, { request }] of sent.entries()) {
          const end = ends[i];
          if (end === 'key_reused') {
            if (request.key === undefined) throw new Error('refused for a key that it does not have');
            continue;
          }
          if (end === 'outcome_unknown') {
            const found = request.key === undefined ? undefined : await ended(writerOn(sessions), request);
            if (Array.isArray(found)) {
              const known = counted.get(request.key ?? '');
              if (known !== undefined && known !== JSON.stringify(found))
                throw new Error(`${known}, then ${JSON.stringify(found)}`);
              if (known !== undefined) continue;
              counted.set(request.key ?? '', JSON.stringify(found));
              for (const { name, by } of request.increments) sums[name] = (sums[name] ?? 0) + by;
            } else if (found === undefined) {
              for (const { name, by } of request.increments)
                open.set(name, (open.get(name) ?? 0) + Math.abs(by));
            } else if (found !== 'key_reused') throw new Error(found);
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
          const off = Math.abs((values[name] ?? 0) - sum);
          if (off > (open.get(name) ?? 0)) throw new Error(`${name} is ${values[name]}, not ${sum}`);
        }
      }),
      { numRuns: 60 },
    );
    t.pass();
  },
);

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

t.test('a first attempt that keeps its locks for longer than one may be waited for is settled', async (t) => {
  const { sessions, databaseUrl } = await testOrm(t, { LOCK_TIMEOUT_MS: '100' });
  const first = await testClient(t, databaseUrl);
  let [written, closed] = [0, 0];
  const query = async (statement: PreparedStatement) => {
    if (act(statement) === 'write-one' && written++ === 0) {
      await first.query('begin');
      await first.query({ ...statement, values: [...statement.values] });
      throw lost();
    }
    if (act(statement) === 'close' && ++closed === 3) await first.query('commit');
    return sessions.query(statement);
  };
  t.strictSame(await ended(writerOn({ query } as Query), one('likes')), [1]);
  t.equal(closed, 3);
  t.strictSame(await valuesIn(sessions), { likes: 1 });
});

t.test('a lost statement that arrives after it was settled does nothing', async (t) => {
  const { sessions } = await testOrm(t);
  const late: (() => Promise<unknown>)[] = [];
  const delayed: Query = {
    query: async (statement) => {
      if (act(statement) !== 'write-one' || late.length > 0) return sessions.query(statement);
      late.push(() => sessions.query(statement));
      throw new ConnectionError('unknown', 'the connection was lost');
    },
  };
  const writer = writerOn(delayed);
  t.strictSame(await ended(writer, one('likes')), [1]);
  await t.rejects(late[0]?.() ?? Promise.resolve(), { code: '23502', column: 'seq' });
  t.strictSame(await valuesIn(sessions), { likes: 1 });
});

t.test(
  'one that leaves the range is refused alone, and so is one that would only pass through',
  async (t) => {
    const { sessions, databaseUrl } = await testOrm(t);
    const client = await testClient(t, databaseUrl);
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
    const there = { name: 'x', by: VALUE_MAX };
    t.strictSame(await ended(writer, { increments: [there, { name: 'x', by: -1 }] }), [
      VALUE_MAX,
      VALUE_MAX - 1,
    ]);
    t.equal(await ended(writer, { increments: [{ name: 'y', by: -1 }, there, there] }), 'out_of_range');
    await client.query(`delete from counters where name = 'x'`);
    t.strictSame(await valuesIn(sessions), { full: VALUE_MAX - 10, low: -VALUE_MAX, other: 8 });
  },
);

t.test('sums that no double can hold are exact', async (t) => {
  const { sessions } = await testOrm(t);
  const writer = writerOn(sessions);
  await writer.submit(one('likes', -VALUE_MAX));
  const ends = await Promise.all([VALUE_MAX, VALUE_MAX - 1, 1].map((by) => ended(writer, one('likes', by))));
  t.strictSame(ends, [[0], [VALUE_MAX - 1], [VALUE_MAX]]);
});

t.test('when the database cannot be asked any more, the outcome is said to be unknown', async (t) => {
  const { sessions } = await testOrm(t);
  let wrote = false;
  const gone: Query = {
    async query(statement) {
      if (act(statement) === 'register') return sessions.query(statement);
      if (wrote) throw new ConnectionError('unavailable', 'cannot connect');
      await sessions.query(statement);
      wrote = true;
      throw lost();
    },
  };
  const settled: string[] = [];
  const writer = writerOn(
    gone,
    { ...unheard, settled: (outcome) => settled.push(outcome) },
    { settleMsMax: 50 },
  );
  const end = await ended(writer, one('likes', 1, 'key'));
  t.equal(end, 'outcome_unknown');
  t.strictSame(settled, ['unknown']);
  // And the key finds it out.
  t.strictSame(await writerOn(sessions).submit(one('likes', 1, 'key')), { values: [1], replayed: true });
});

t.test('the time in which a lost answer is asked for is not time of retrying', async (t) => {
  const { sessions } = await testOrm(t);
  const now = performance.now.bind(performance);
  t.teardown(() => void (performance.now = now));
  let writes = 0;
  const query = async (statement: PreparedStatement) => {
    if (act(statement) !== 'write-keyed') return sessions.query(statement);
    writes += 1;
    if (writes === 1) throw lost();
    if (writes > 2) return sessions.query(statement);
    // A failover later, the same key is under way through another replica.
    performance.now = () => now() + 40_000;
    throw Object.assign(new Error('duplicate key'), { code: '23505' });
  };
  t.strictSame(await ended(writerOn({ query } as Query), one('likes', 1, 'key')), [1]);
  t.equal(writes, 3);
});

t.test(
  'a lost answer is asked for as long as a failover takes, and less long where a server answers',
  async (t) => {
    const { sessions } = await testOrm(t);
    const now = performance.now.bind(performance);
    t.teardown(() => void (performance.now = now));
    const asking = (error: () => Error) => {
      let writes = 0;
      let passedMs = 0;
      const query = async (statement: PreparedStatement) => {
        if (act(statement) === 'register') return sessions.query(statement);
        if (writes++ > 0) {
          passedMs += 4000;
          performance.now = () => now() + passedMs;
        }
        throw writes === 1 ? lost() : error();
      };
      return { query: { query } as Query, passedMs: () => passedMs };
    };
    const away = asking(() => new ConnectionError('unavailable', 'cannot connect'));
    t.equal(await ended(writerOn(away.query), one('likes')), 'outcome_unknown');
    t.ok(away.passedMs() >= 44_000, `${away.passedMs()} ms`);
    performance.now = now;
    const locked = asking(() => Object.assign(new Error('lock timeout'), { code: '55P03' }));
    t.equal(await ended(writerOn(locked.query), one('likes')), 'outcome_unknown');
    t.ok(locked.passedMs() >= 12_000 && locked.passedMs() <= 20_000, `${locked.passedMs()} ms`);
  },
);

t.test(
  'what was refused stays refused when it cannot be found out which request was the reason',
  async (t) => {
    const broken: Query = {
      query: async (statement) => {
        if (act(statement) === 'register') return { rows: [] } as never;
        if (act(statement) === 'write-one') throw Object.assign(new Error('too large'), { code: '22003' });
        throw new ConnectionError('unavailable', 'the server is gone');
      },
    };
    await t.rejects(writerOn(broken).submit(one('likes')), ConnectionError);
  },
);

t.test('a process that was paused until its row was removed does not guess', async (t) => {
  const { sessions } = await testOrm(t);
  const paused = unreliable(sessions, ['paused']);
  const writer = writerOn(paused);
  t.equal(await ended(writer, one('likes')), 'outcome_unknown');
  t.strictSame(
    await valuesIn(sessions),
    { likes: 1 },
    'which was right: it had been applied, and is not applied again',
  );
  t.strictSame(await ended(writer, one('likes')), [2], 'and goes on under a new identity');
});

t.test('a writer whose row was removed while it was idle registers again', async (t) => {
  const { sessions } = await testOrm(t);
  const writer = writerOn(sessions);
  await writer.submit(one('likes'));
  await forgetWriters(sessions);
  t.strictSame(await ended(writer, one('likes')), [2]);
});

t.test('the clock may jump while an answer is lost', async (t) => {
  const { sessions } = await testOrm(t);
  const now = Date.now;
  t.teardown(() => void (Date.now = now));
  const jumping = {
    async query(statement: PreparedStatement) {
      const result = await sessions.query(statement);
      if (act(statement) !== 'write-one' || Date.now !== now) return result;
      Date.now = () => now() + 30 * 86_400_000;
      throw lost();
    },
  } as Query;
  t.strictSame(await ended(writerOn(jumping), one('likes')), [1]);
  t.strictSame(await valuesIn(sessions), { likes: 1 });
});

t.test('an answer from a known key is a commit of its own, which standbys can confirm', async (t) => {
  const { sessions, databaseUrl } = await testOrm(t);
  const client = await testClient(t, databaseUrl);
  await writerOn(sessions).submit(one('likes', 1, 'key'));
  const writer = writerOn(sessions);
  t.match(await writer.submit(one('likes', 1, 'key')), { replayed: true });
  const { rows } = await client.query(
    'select seq::int, "values" from counter_writers order by written_at desc limit 1',
  );
  t.strictSame(rows, [{ seq: 1, values: [] }]);
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

t.test('keys are removed when they have expired, and not before', async (t) => {
  const { sessions, databaseUrl } = await testOrm(t);
  const client = await testClient(t, databaseUrl);
  const store = storeOn(sessions);
  const writer = writerOn(sessions);
  for (const key of ['old', 'older', 'new', 'held']) await writer.submit(one('likes', 1, key));
  const kept = await client.query(
    `select extract(epoch from expires_at - now()) / 3600 as hours from idempotency_keys`,
  );
  t.ok(kept.rows.every(({ hours }) => Number(hours) > 23.9 && Number(hours) <= 24));
  t.match(await store.removeKeys(10), { count: 0 });
  await client.query(`update idempotency_keys set expires_at = now() - interval '2 s' where key = 'older'`);
  await client.query(
    `update idempotency_keys set expires_at = now() - interval '1 s' where key in ('old', 'held')`,
  );
  const holder = await testClient(t, databaseUrl);
  await holder.query(`begin; select from idempotency_keys where key = 'held' for update`);
  const { count, last } = await store.removeKeys(1);
  t.equal(count, 1, 'the oldest first');
  t.match(await store.removeKeys(10, last), { count: 1 }, 'without waiting for the one that is locked');
  await holder.query('rollback');
  t.match(await store.removeKeys(10), { count: 1 });
  t.match(await writer.submit(one('likes', 1, 'new')), { replayed: true });
  t.match(await writer.submit(one('likes', 1, 'old')), { replayed: false });
});

t.test('rows of writers that ended long ago are removed', async (t) => {
  const { sessions, databaseUrl } = await testOrm(t);
  const client = await testClient(t, databaseUrl);
  await writerOn(sessions).submit(one('likes'));
  await writerOn(sessions).submit(one('likes'));
  const rows = async () => (await client.query('select from counter_writers')).rowCount;
  await storeOn(sessions).removeWriters();
  t.equal(await rows(), 2);
  await client.query(
    `update counter_writers set written_at = now() - interval '8 days' where "values" = '{1}'`,
  );
  await storeOn(sessions).removeWriters();
  t.equal(await rows(), 1);
});

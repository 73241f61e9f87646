import t from 'tap';
import { VALUE_MAX } from '../../src/counters/counter.ts';
import type { CounterWriter } from '../../src/counters/writer.ts';
import { ConnectionError } from '../../src/database/failure.ts';
import type { PreparedStatement } from '../../src/database/guarded-connection.ts';
import { Sessions } from '../../src/database/sessions.ts';
import { testClient, testDatabase, testPool } from '../helper.ts';
import { fc } from '../property.ts';
import { one, outcomeOf, setUp, storeOn, valuesIn, writerOn } from './replica.ts';
import { asking, forgetWriters, lost, type Query, statementName, unreliable } from './unreliable.ts';

t.test('requests that wait together are written by one commit, in their order', async (t) => {
  const { sessions, client } = await setUp(t);
  const batches: number[] = [];
  const writer = writerOn(sessions, { events: { written: (increments) => batches.push(increments) } });
  const outcomes = await Promise.all([3, -1, 10].map((by) => outcomeOf(writer, one('likes', by))));
  t.strictSame(outcomes, [[3], [2], [12]]);
  t.strictSame(batches, [3]);
  t.strictSame(await valuesIn(client), { likes: 12 });
});

const fault = fc.constantFrom('none', 'none', 'broken', 'lost before', 'lost after', 'conflict', 'paused');
const load = fc.record({
  faults: fc.tuple(fc.array(fault, { maxLength: 8 }), fc.array(fault, { maxLength: 8 })),
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
  'each request counts once through two replicas, despite lost answers, pauses, conflicts and repeated keys',
  async (t) => {
    const { sessions, client } = await setUp(t);
    let run = 0;
    await fc.assert(
      fc.asyncProperty(load, async ({ faults, requests }) => {
        run += 1;
        const writers = faults.map((some) => writerOn(unreliable(sessions, some)));
        const named = requests.map(({ increments, key, replica, again }) => ({
          request: {
            increments: increments.map(({ name, by }) => ({ name: `${run} ${name}`, by })),
            key: key === undefined ? undefined : `${run} ${key}`,
          },
          replica,
          again,
        }));
        const sent = named.flatMap(({ request, replica, again }) => {
          const first = { request, outcome: outcomeOf(writers[replica] as CounterWriter, request) };
          if (!again || !request.key) return [first];
          return [first, { request, outcome: outcomeOf(writers[1 - replica] as CounterWriter, request) }];
        });
        const outcomes = await Promise.all(sent.map(({ outcome }) => outcome));
        const counted = new Map<string, string>();
        const sums: Record<string, number> = {};
        // For each counter, the amounts that may have been counted: of requests without a key whose outcome is unknown.
        const uncertain = new Map<string, number>();
        for (const [i, { request }] of sent.entries()) {
          const outcome = outcomes[i];
          if (outcome === 'key_reused') {
            if (request.key === undefined) throw new Error('refused for a key that it does not have');
            continue;
          }
          if (outcome === 'outcome_unknown') {
            const found =
              request.key === undefined ? undefined : await outcomeOf(writerOn(sessions), request);
            if (Array.isArray(found)) {
              const known = counted.get(request.key ?? '');
              if (known !== undefined && known !== JSON.stringify(found))
                throw new Error(`${known}, then ${JSON.stringify(found)}`);
              if (known !== undefined) continue;
              counted.set(request.key ?? '', JSON.stringify(found));
              for (const { name, by } of request.increments) sums[name] = (sums[name] ?? 0) + by;
            } else if (found === undefined) {
              for (const { name, by } of request.increments)
                uncertain.set(name, (uncertain.get(name) ?? 0) + Math.abs(by));
            } else if (found !== 'key_reused') throw new Error(found);
            continue;
          }
          if (!Array.isArray(outcome)) throw new Error(String(outcome));
          // Requests with the same key have the same answer and count once.
          const known = request.key === undefined ? undefined : counted.get(request.key);
          if (known !== undefined) {
            if (known !== JSON.stringify(outcome))
              throw new Error(`${known}, then ${JSON.stringify(outcome)}`);
            continue;
          }
          if (request.key !== undefined) counted.set(request.key, JSON.stringify(outcome));
          for (const { name, by } of request.increments) sums[name] = (sums[name] ?? 0) + by;
        }
        const values = await valuesIn(client);
        for (const [name, sum] of Object.entries(sums)) {
          const off = Math.abs((values[name] ?? 0) - sum);
          if (off > (uncertain.get(name) ?? 0)) throw new Error(`${name} is ${values[name]}, not ${sum}`);
        }
      }),
      { numRuns: 60 },
    );
    t.pass();
  },
);

t.test('after a lost answer, requests get the answers that were lost', async (t) => {
  const { sessions } = await setUp(t);
  const settled: string[] = [];
  const events = { settled: (outcome: string) => settled.push(outcome) };
  const writer = writerOn(unreliable(sessions, ['lost after', 'lost after']), { events });
  const outcomes = await Promise.all(
    [one('b', 5), one('a', 2, 'key'), one('b', 1)].map((r) => outcomeOf(writer, r)),
  );
  t.strictSame(outcomes, [[5], [2], [6]]);
  t.strictSame(settled, ['applied']);
  const refused = writerOn(unreliable(sessions, ['lost before']), { events });
  t.strictSame(await outcomeOf(refused, one('b', 1)), [7]);
  t.strictSame(settled, ['applied', 'not applied']);
});

t.test(
  'a lost answer is settled even if the first attempt holds its locks longer than the lock timeout',
  async (t) => {
    const { sessions, databaseUrl, client } = await setUp(t, { LOCK_TIMEOUT_MS: '100' });
    const first = await testClient(t, databaseUrl);
    let [written, closed] = [0, 0];
    const query = async (statement: PreparedStatement) => {
      if (statementName(statement) === 'write-one' && written++ === 0) {
        await first.query('begin');
        await first.query({ ...statement, values: [...statement.values] });
        throw lost();
      }
      if (statementName(statement) === 'close' && ++closed === 3) await first.query('commit');
      return sessions.query(statement);
    };
    t.strictSame(await outcomeOf(writerOn(asking(sessions, query)), one('likes')), [1]);
    t.equal(closed, 3);
    t.strictSame(await valuesIn(client), { likes: 1 });
  },
);

t.test('a delayed statement that arrives after its answer was settled does nothing', async (t) => {
  const { sessions, client } = await setUp(t);
  const late: (() => Promise<unknown>)[] = [];
  const delayed = asking(sessions, async (statement) => {
    if (statementName(statement) !== 'write-one' || late.length > 0) return sessions.query(statement);
    late.push(() => sessions.query(statement));
    throw lost();
  });
  const writer = writerOn(delayed);
  t.strictSame(await outcomeOf(writer, one('likes')), [1]);
  await t.rejects(late[0]?.() ?? Promise.resolve(), { code: '23502', column: 'seq' });
  t.strictSame(await valuesIn(client), { likes: 1 });
});

t.test(
  'a request that leaves the range is refused alone, even if only one of its partial sums does',
  async (t) => {
    const { sessions, client } = await setUp(t);
    const writer = writerOn(sessions);
    await writer.submit(one('full', VALUE_MAX - 1));
    const outcomes = await Promise.all(
      [
        one('full', 5),
        one('other', 7),
        one('full', -10),
        one('full', 1),
        one('low', -VALUE_MAX),
        one('low', -1),
      ].map((request) => outcomeOf(writer, request)),
    );
    t.strictSame(outcomes, [
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
    t.strictSame(await Promise.all([bulk, one('other', 1)].map((request) => outcomeOf(writer, request))), [
      'out_of_range',
      [8],
    ]);
    const toMax = { name: 'x', by: VALUE_MAX };
    t.strictSame(await outcomeOf(writer, { increments: [toMax, { name: 'x', by: -1 }] }), [
      VALUE_MAX,
      VALUE_MAX - 1,
    ]);
    t.equal(await outcomeOf(writer, { increments: [{ name: 'y', by: -1 }, toMax, toMax] }), 'out_of_range');
    await client.query(`delete from safe_counters.counters where name = 'x'`);
    t.strictSame(await valuesIn(client), { full: VALUE_MAX - 10, low: -VALUE_MAX, other: 8 });
  },
);

t.test('sums that a double cannot represent are exact', async (t) => {
  const { sessions } = await setUp(t);
  const writer = writerOn(sessions);
  await writer.submit(one('likes', -VALUE_MAX));
  const outcomes = await Promise.all(
    [VALUE_MAX, VALUE_MAX - 1, 1].map((by) => outcomeOf(writer, one('likes', by))),
  );
  t.strictSame(outcomes, [[0], [VALUE_MAX - 1], [VALUE_MAX]]);
});

t.test('the outcome is unknown if the database stays unreachable after a lost answer', async (t) => {
  const { sessions } = await setUp(t);
  let wrote = false;
  const unreachable = asking(sessions, async (statement) => {
    if (statementName(statement) === 'register') return sessions.query(statement);
    if (wrote) throw new ConnectionError('unavailable', 'cannot connect');
    await sessions.query(statement);
    wrote = true;
    throw lost();
  });
  const settled: string[] = [];
  const events = { settled: (outcome: string) => settled.push(outcome) };
  const writer = writerOn(unreachable, { events, settleMsMax: 50 });
  const outcome = await outcomeOf(writer, one('likes', 1, 'key'));
  t.equal(outcome, 'outcome_unknown');
  t.strictSame(settled, ['unknown']);
  // A retry with the key finds out the outcome.
  t.strictSame(await writerOn(sessions).submit(one('likes', 1, 'key')), { values: [1], replayed: true });
});

t.test(
  'the time spent settling a lost answer does not count towards the time limit for retries',
  async (t) => {
    const { sessions } = await setUp(t);
    const now = performance.now.bind(performance);
    t.teardown(() => void (performance.now = now));
    let writes = 0;
    const query = async (statement: PreparedStatement) => {
      // The failover takes 40 seconds.
      if (statementName(statement) === 'close') performance.now = () => now() + 40_000;
      if (statementName(statement) !== 'write-keyed') return sessions.query(statement);
      writes += 1;
      if (writes === 1) throw lost();
      if (writes > 2) return sessions.query(statement);
      // Another replica is writing the same key.
      throw Object.assign(new Error('duplicate key'), { code: '23505' });
    };
    t.strictSame(await outcomeOf(writerOn(asking(sessions, query)), one('likes', 1, 'key')), [1]);
    t.equal(writes, 3);
  },
);

t.test('settling a lost answer takes as long as a failover, and less if a server answers', async (t) => {
  const { sessions } = await setUp(t);
  const now = performance.now.bind(performance);
  t.teardown(() => void (performance.now = now));
  const losing = (error: () => Error) => {
    let writes = 0;
    let passedMs = 0;
    const query = async (statement: PreparedStatement) => {
      if (statementName(statement) === 'register') return sessions.query(statement);
      if (writes++ > 0) {
        passedMs += 4000;
        performance.now = () => now() + passedMs;
      }
      throw writes === 1 ? lost() : error();
    };
    return { sessions: asking(sessions, query), passedMs: () => passedMs };
  };
  const away = losing(() => new ConnectionError('unavailable', 'cannot connect'));
  t.equal(await outcomeOf(writerOn(away.sessions), one('likes')), 'outcome_unknown');
  t.ok(away.passedMs() >= 44_000, `${away.passedMs()} ms`);
  performance.now = now;
  const locked = losing(() => Object.assign(new Error('lock timeout'), { code: '55P03' }));
  t.equal(await outcomeOf(writerOn(locked.sessions), one('likes')), 'outcome_unknown');
  t.ok(locked.passedMs() >= 12_000 && locked.passedMs() <= 20_000, `${locked.passedMs()} ms`);
});

t.test('a batch that the server refused stays refused if its requests cannot be decided', async (t) => {
  const unreachable = new ConnectionError('unavailable', 'the server is unreachable');
  const broken = {
    query: async (statement: PreparedStatement) => {
      if (statementName(statement) === 'register') return { rows: [] };
      throw Object.assign(new Error('too large'), { code: '22003' });
    },
    transaction: () => Promise.reject(unreachable),
  } as unknown as Query;
  await t.rejects(writerOn(broken).submit(one('likes')), unreachable);
});

t.test('a process that was paused until its row was removed reports an unknown outcome', async (t) => {
  const { sessions, client } = await setUp(t);
  const paused = unreliable(sessions, ['paused']);
  const writer = writerOn(paused);
  t.equal(await outcomeOf(writer, one('likes')), 'outcome_unknown');
  t.strictSame(await valuesIn(client), { likes: 1 }, 'the batch had been applied, and is not applied again');
  t.strictSame(await outcomeOf(writer, one('likes')), [2], 'the writer continues under a new identity');
});

t.test('a writer whose row was removed while it was idle registers again', async (t) => {
  const { sessions } = await setUp(t);
  const writer = writerOn(sessions);
  await writer.submit(one('likes'));
  await forgetWriters(sessions);
  t.strictSame(await outcomeOf(writer, one('likes')), [2]);
});

t.test('a jump of the clock while an answer is lost does no harm', async (t) => {
  const { sessions, client } = await setUp(t);
  const now = Date.now;
  t.teardown(() => void (Date.now = now));
  const jumping = asking(sessions, async (statement) => {
    const result = await sessions.query(statement);
    if (statementName(statement) !== 'write-one' || Date.now !== now) return result;
    Date.now = () => now() + 30 * 86_400_000;
    throw lost();
  });
  t.strictSame(await outcomeOf(writerOn(jumping), one('likes')), [1]);
  t.strictSame(await valuesIn(client), { likes: 1 });
});

t.test('a replay is a separate commit, which standbys can confirm', async (t) => {
  const { sessions, client } = await setUp(t);
  await writerOn(sessions).submit(one('likes', 1, 'key'));
  const writer = writerOn(sessions);
  t.match(await writer.submit(one('likes', 1, 'key')), { replayed: true });
  const { rows } = await client.query(
    'select seq::int, "values" from safe_counters.writers order by written_at desc limit 1',
  );
  t.strictSame(rows, [{ seq: 1, values: [] }]);
});

t.test('a request whose client has disconnected before the batch begins is not counted', async (t) => {
  const { sessions } = await setUp(t);
  const writer = writerOn(sessions);
  const outcomes = await Promise.all([
    outcomeOf(writer, { ...one('likes'), abandoned: () => true }),
    outcomeOf(writer, { ...one('likes'), abandoned: () => false }),
  ]);
  t.strictSame(outcomes, ['client_gone', [1]]);
});

t.test('keys are removed once they have expired, and not before', async (t) => {
  const { sessions, client, databaseUrl } = await setUp(t);
  const store = storeOn(sessions);
  const writer = writerOn(sessions);
  for (const key of ['old', 'older', 'new', 'held']) await writer.submit(one('likes', 1, key));
  const kept = await client.query(
    `select extract(epoch from expires_at - now()) / 3600 as hours from safe_counters.idempotency_keys`,
  );
  t.ok(kept.rows.every(({ hours }) => Number(hours) > 23.9 && Number(hours) <= 24));
  t.match(await store.removeKeys(10), { count: 0 });
  const expire = (age: string, keys: string[]) =>
    client.query(
      `update safe_counters.idempotency_keys set expires_at = now() - $1::interval
       where key in (select substr(sha256(convert_to(k, 'UTF8')), 1, 16) from unnest($2::text[]) as k)`,
      [age, keys],
    );
  t.match(await expire('2 s', ['older']), { rowCount: 1 });
  t.match(await expire('1 s', ['old', 'held']), { rowCount: 2 });
  const holder = await testClient(t, databaseUrl);
  await holder.query(
    `begin; select from safe_counters.idempotency_keys where key = substr(sha256('held'), 1, 16) for update`,
  );
  const { count, last } = await store.removeKeys(1);
  t.equal(count, 1, 'the key that expired first');
  t.match(await store.removeKeys(10, last), { count: 1 }, 'without waiting for the locked key');
  await holder.query('rollback');
  t.match(await store.removeKeys(10), { count: 1 });
  t.match(await writer.submit(one('likes', 1, 'new')), { replayed: true });
  t.match(await writer.submit(one('likes', 1, 'old')), { replayed: false });
});

t.test(
  'a removal continues where it ended, whatever the date styles and time zones of the sessions are',
  async (t) => {
    const databaseUrl = await testDatabase(t);
    const client = await testClient(t, databaseUrl);
    const stores = ['SQL,DMY -c TimeZone=Asia/Kolkata', 'Postgres,MDY -c TimeZone=Asia/Shanghai'].map(
      (style) => {
        const pool = testPool(t, { connectionString: databaseUrl, options: `-c DateStyle=${style}` });
        return storeOn(new Sessions(pool));
      },
    );
    await client.query(
      `insert into safe_counters.idempotency_keys
       select int4send(i), '', '{}', '2020-05-04 01:02:03.000004Z'::timestamptz + i * interval '1 us'
       from generate_series(0, 8) as i`,
    );
    let since: string | undefined;
    for (const store of [...stores, ...stores]) {
      const { count, last } = await store.removeKeys(2, since);
      t.equal(count, 2);
      since = last;
    }
    t.equal(since, '2020-05-04T01:02:03.000011Z');
    t.match(await stores[0]?.removeKeys(2, since), { count: 1 });
  },
);

t.test('rows of writers without a batch for a week are removed', async (t) => {
  const { sessions, client } = await setUp(t);
  await writerOn(sessions).submit(one('likes'));
  await writerOn(sessions).submit(one('likes'));
  const rows = async () => (await client.query('select from safe_counters.writers')).rowCount;
  await storeOn(sessions).removeWriters();
  t.equal(await rows(), 2);
  await client.query(
    `update safe_counters.writers set written_at = now() - interval '8 days' where "values" = '{1}'`,
  );
  await storeOn(sessions).removeWriters();
  t.equal(await rows(), 1);
});

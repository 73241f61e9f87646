import type { Client } from 'pg';
import t, { type Test } from 'tap';
import { VALUE_MAX } from '../../src/counters/counter.ts';
import { removeExpiredForEver } from '../../src/counters/removal.ts';
import { type IncrementRequest, pendingOf } from '../../src/counters/request.ts';
import type { PreparedStatement } from '../../src/database/guarded-connection.ts';
import { Problem } from '../../src/errors/problem.ts';
import { testApp, testClient, testDatabase, until } from '../helper.ts';
import { slow } from '../pace.ts';
import {
  answerOf,
  blocked,
  bulk,
  create,
  hold,
  one,
  outcomeOf,
  type WriterOptions,
  setUp as setUpReplica,
  valuesIn,
  writerOn,
} from './replica.ts';
import { asking, lost, type Query, statementName } from './unreliable.ts';

/** Counts the statements that are sent, by name, and calls `before` ahead of each. */
function watched(sessions: Query, before: (name: string) => Promise<void> | void = () => {}) {
  const sent: Record<string, number> = {};
  const own = asking(sessions, async (statement) => {
    // The look at locks is planned each time, so it has no name.
    const name = statement.text.includes('skip locked) as l on true') ? 'look' : statementName(statement);
    sent[name] = (sent[name] ?? 0) + 1;
    await before(name);
    return sessions.query(statement);
  });
  return { sent, sessions: own };
}

async function setUp(t: Test, env: NodeJS.ProcessEnv = {}) {
  const { sessions, databaseUrl, client } = await setUpReplica(t, env);
  const holder = await testClient(t, databaseUrl);
  const newWriter = ({ on = sessions, ...options }: WriterOptions & { on?: Query } = {}) =>
    writerOn(on, { lockMsMax: 50, ...options });
  return { sessions, databaseUrl, holder, client, newWriter };
}

/** Counts a request with a key in a transaction that stays open, as another replica does. */
async function countElsewhere(other: Client, request: IncrementRequest, value: number): Promise<void> {
  const { key, fingerprint } = pendingOf(request);
  await other.query('begin');
  await other.query(`update safe_counters.counters set value = $2 where name = $1`, [
    request.increments[0]?.name,
    value,
  ]);
  await other.query(
    `insert into safe_counters.idempotency_keys
     values (decode($1, 'hex'), decode($2, 'hex'), $3, now() + interval '1 day')`,
    [key, fingerprint, { value }],
  );
}

t.test(
  'a request that another replica counts during the statement is replayed, and not refused as out of range',
  async (t) => {
    const { holder, client, newWriter } = await setUp(t);
    await client.query(`insert into safe_counters.counters (name, value) values ('x', ${VALUE_MAX - 1})`);
    const request = one('x', 1, 'key');
    await countElsewhere(holder, request, VALUE_MAX);
    const outcome = outcomeOf(newWriter({ lockMsMax: 30_000 }), request);
    await blocked(client);
    await holder.query('commit');
    t.strictSame(await outcome, [VALUE_MAX]);
  },
);

/** A counter that has no room, and a writer that knows so: the next batch is decided one by one at once. */
async function withFullCounter(t: Test) {
  const { holder, client, newWriter } = await setUp(t);
  await client.query(`insert into safe_counters.counters (name, value, min, max) values ('full', 0, 0, 0)`);
  const writer = newWriter({ lockMsMax: 30_000 });
  t.equal(await outcomeOf(writer, one('full')), 'out_of_bounds');
  return { holder, client, writer };
}

t.test('the bounds of a counter that another replica creates during the statement apply', async (t) => {
  const { holder, client, writer } = await withFullCounter(t);
  for (const [name, neighbour] of [
    ['late', 'free'],
    ['later', 'full'],
  ] as const) {
    await holder.query('begin');
    await holder.query(`insert into safe_counters.counters (name, value, max) values ('${name}', 1, 1)`);
    const outcomes = Promise.all([one(neighbour), one(name)].map((request) => outcomeOf(writer, request)));
    await blocked(client);
    await holder.query('commit');
    t.strictSame(await outcomes, [neighbour === 'full' ? 'out_of_bounds' : [1], 'out_of_bounds']);
  }
});

t.test(
  'a request that another replica counts during the statement is replayed, and not refused for lack of room',
  async (t) => {
    const { holder, client, writer } = await withFullCounter(t);
    await client.query(
      `insert into safe_counters.counters (name, value, max) values ('tickets', 0, 1), ('seats', 0, 1)`,
    );
    for (const [name, neighbour] of [
      ['tickets', 'free'],
      ['seats', 'full'],
    ] as const) {
      const request = one(name, 1, `key of ${name}`);
      await countElsewhere(holder, request, 1);
      const requests = [request, one(name, 1, `later key of ${name}`), one(neighbour)];
      const outcomes = Promise.all(requests.map((each) => outcomeOf(writer, each)));
      await blocked(client);
      await holder.query('commit');
      t.strictSame(await outcomes, [[1], 'out_of_bounds', neighbour === 'full' ? 'out_of_bounds' : [1]]);
    }
  },
);

t.test(
  'an ambiguous result (40003, CockroachDB) is treated as a lost answer, not as a refusal',
  async (t) => {
    const { sessions, newWriter } = await setUp(t);
    let first = true;
    const ambiguous = asking(sessions, async (statement) => {
      const result = await sessions.query(statement);
      if (statementName(statement) !== 'write-one' || !first) return result;
      first = false;
      throw Object.assign(new Error('result is ambiguous'), { code: '40003', severity: 'ERROR' });
    });
    t.strictSame(await outcomeOf(newWriter({ on: ambiguous }), one('likes')), [1]);
  },
);

t.test(
  'after an unknown outcome, a lane does not wait for the attempt that still holds the lock on its row',
  async (t) => {
    const { sessions, holder, newWriter } = await setUp(t, { LOCK_TIMEOUT_MS: '200' });
    let lose = false;
    const losing = asking(sessions, async (statement) => {
      if (!lose || !statementName(statement).startsWith('write')) return sessions.query(statement);
      lose = false;
      throw lost();
    });
    const writer = newWriter({ on: losing });
    t.strictSame(await outcomeOf(writer, bulk('a', 'other')), [1, 1]);
    // As the first attempt does, on a server that waits for the rest of it or for a standby.
    await holder.query(`begin; update safe_counters.counters set value = value + 1 where name = 'a'`);
    await holder.query('update safe_counters.writers set seq = seq + 1');
    lose = true;
    t.equal(await outcomeOf(writer, one('a')), 'outcome_unknown');
    t.strictSame(await outcomeOf(writer, one('other')), [2]);
    await holder.query('rollback');
  },
);

t.test('a request in the waiting room is refused when its wait for the lock times out', async (t) => {
  const { holder, newWriter } = await setUp(t);
  await create(holder, 'a', 'b');
  await hold(holder, 'a', 'b');
  const writer = newWriter({ lockedMsMax: 200 });
  const since = performance.now();
  const outcomes = await Promise.all(Array.from({ length: 200 }, () => outcomeOf(writer, bulk('a', 'b'))));
  const ms = performance.now() - since;
  t.ok(outcomes.every((outcome) => outcome === 'busy'));
  t.ok(ms < slow(3000), `took ${Math.round(ms)} ms; 200 + 50 are allowed`);
  await holder.query('rollback');
});

t.test('requests that wait for other locks do not delay a counter that is free again', async (t) => {
  const { holder, databaseUrl, newWriter } = await setUp(t);
  const brieflyHolding = await testClient(t, databaseUrl);
  await create(holder, 'a', 'b', 'c');
  await hold(holder, 'a', 'b');
  await hold(brieflyHolding, 'c');
  const writer = newWriter({ lockedMsMax: 20_000 });
  const bulks = Array.from({ length: 200 }, () => outcomeOf(writer, bulk('a', 'b')));
  const pending = outcomeOf(writer, one('c'));
  await until(async () => writer.held === 201);
  await brieflyHolding.query('rollback');
  const since = performance.now();
  t.strictSame(await pending, [1]);
  const ms = performance.now() - since;
  t.ok(ms < slow(2000), `took ${Math.round(ms)} ms after the release`);
  await holder.query('rollback');
  await Promise.all(bulks);
});

t.test('a request for two counters does not delay requests for one of them', async (t) => {
  const { holder, databaseUrl, newWriter } = await setUp(t);
  const other = await testClient(t, databaseUrl);
  await create(holder, 'x', 'y');
  await hold(holder, 'x');
  const writer = newWriter({ lockedMsMax: slow(3000) });
  const first = outcomeOf(writer, one('x'));
  await until(async () => writer.held === 1);
  await hold(other, 'y');
  const both = outcomeOf(writer, bulk('x', 'y'));
  const second = outcomeOf(writer, one('x'));
  await holder.query('rollback');
  t.ok(Array.isArray(await first), 'x is free');
  t.ok(Array.isArray(await second), 'x is free');
  await other.query('rollback');
  await both;
});

t.test('a request whose client disconnects does not make its counter free', async (t) => {
  const { holder, newWriter } = await setUp(t);
  await create(holder, 'locked');
  await hold(holder, 'locked');
  const writer = newWriter();
  let disconnected = false;
  const pending = outcomeOf(writer, { ...one('locked'), abandoned: () => disconnected });
  await until(async () => writer.held === 1);
  disconnected = true;
  t.equal(await pending, 'client_gone');
  const next = outcomeOf(writer, one('locked'));
  t.equal(writer.held, 1, 'the next request does not delay the main lane');
  await holder.query('rollback');
  await next;
});

t.test('a replay, which needs no lock, does not make its counter free', async (t) => {
  const { holder, newWriter } = await setUp(t);
  const writer = newWriter({ lockedMsMax: 20_000 });
  await writer.submit(one('locked', 1, 'key'));
  await hold(holder, 'locked');
  const pending = outcomeOf(writer, one('locked'));
  await until(async () => writer.held === 1);
  t.strictSame(await outcomeOf(writer, one('locked', 1, 'key')), [1]);
  const next = outcomeOf(writer, one('locked'));
  t.equal(writer.held, 2, 'the next request does not delay the main lane');
  await holder.query('rollback');
  await Promise.all([pending, next]);
});

t.test(
  'requests that were queued before their counter became a suspect do not delay the main lane',
  async (t) => {
    const { sessions, holder, client, newWriter } = await setUp(t);
    await create(holder, 'locked');
    await hold(holder, 'locked');
    const { sent, sessions: counted } = watched(sessions);
    const writer = newWriter({ lockedMsMax: 20_000, on: counted, lockMsMax: 1000 });
    const pending = [outcomeOf(writer, one('locked'))];
    await blocked(client);
    pending.push(outcomeOf(writer, one('locked')));
    t.strictSame(await outcomeOf(writer, one('free')), [1]);
    t.equal(sent['write-one'], 2, 'the main lane has timed out once');
    await holder.query('rollback');
    await Promise.all(pending);
  },
);

t.test('batches of bulks that have waited for a lock have a size limit', async (t) => {
  const { holder, newWriter } = await setUp(t);
  const names = Array.from({ length: 999 }, (_, i) => `n${i}`);
  await create(holder, 'locked', ...names);
  await hold(holder, 'locked');
  let largest = 0;
  const events = { written: (increments: number) => (largest = Math.max(largest, increments)) };
  const writer = newWriter({ lockedMsMax: 30_000, events });
  const pending = Array.from({ length: 12 }, () => outcomeOf(writer, bulk('locked', ...names)));
  await until(async () => writer.held === 12);
  await holder.query('rollback');
  t.ok((await Promise.all(pending)).every((outcome) => Array.isArray(outcome)));
  t.ok(largest <= 5000, `${largest} increments in one statement; 5000 are allowed, as on the main lane`);
});

t.test('if the beginning of a transaction is canceled, its statements leave no row behind', async (t) => {
  const { sessions, client } = await setUp(t);
  const canceled: Query = {
    query: (statement: PreparedStatement) => sessions.query(statement),
    transaction: (work) =>
      sessions.transaction((send) =>
        work(([, ...others]) => send([{ name: '', text: 'select 1 / 0', values: [] }, ...others])),
      ),
  };
  const refused = answerOf(writerOn(canceled), { increments: [{ name: 'a', by: 1, max: 9 }] });
  t.match(await refused, /division by zero/);
  t.strictSame(await valuesIn(client), {});
});

t.test('removal stops at once when the service closes', async (t) => {
  // The timers of the removal do not keep the process alive.
  const alive = setInterval(() => {}, 1000);
  t.teardown(() => clearInterval(alive));
  const closing = new AbortController();
  let removals = 0;
  const store = {
    removeCounters: async () => ({ count: 0, last: '' }),
    async removeKeys(rowsMax: number) {
      removals += 1;
      if (removals === 2) closing.abort();
      return { count: removals < 1000 ? rowsMax : 0, last: '' };
    },
    removeWriters: async () => {},
  };
  await removeExpiredForEver(store, closing.signal, () => {});
  t.equal(removals, 2);
});

t.test('requests in the waiting room do not delay the shutdown of the service', async (t) => {
  const { holder, newWriter } = await setUp(t);
  await create(holder, 'locked');
  await hold(holder, 'locked');
  const closing = new AbortController();
  const writer = newWriter({ lockedMsMax: 20_000, closing: closing.signal });
  const pending = outcomeOf(writer, one('locked'));
  await until(async () => writer.held === 1);
  closing.abort(new Problem('shutting_down', 'the service is shutting down'));
  const since = performance.now();
  await writer.drain();
  const ms = performance.now() - since;
  t.ok(ms < slow(5000), `drained after ${Math.round(ms)} ms`);
  await holder.query('rollback');
  await pending;
});

t.test(
  'requests for other counters are not refused when the statement timeout is shorter than the usual lock timeout',
  async (t) => {
    const databaseUrl = await testDatabase(t);
    const app = await testApp(t, { STATEMENT_TIMEOUT_MS: String(slow(300)), DEMOS: 'false' }, databaseUrl);
    const holder = await testClient(t, databaseUrl);
    await create(holder, 'locked');
    await hold(holder, 'locked');
    const post = (name: string) => app.inject({ method: 'POST', url: `/counters/${name}/increments` });
    const pending = post('locked');
    t.match(await post('free'), { statusCode: 200 });
    await holder.query('rollback');
    t.match(await pending, { statusCode: 200 });
  },
);

t.test('requests with keys stay in few batches if the lock is released before the look', async (t) => {
  const { sessions, holder, newWriter } = await setUp(t);
  await create(holder, 'locked');
  await hold(holder, 'locked');
  const { sent, sessions: counted } = watched(sessions, async (name) => {
    if (name === 'look') await holder.query('rollback');
  });
  const writer = newWriter({ on: counted });
  const pending = Array.from({ length: 300 }, (_, i) => outcomeOf(writer, one('locked', 1, `key ${i}`)));
  t.ok((await Promise.all(pending)).every((outcome) => Array.isArray(outcome)));
  t.ok((sent['write-keyed'] ?? 0) < 20, `${sent['write-keyed']} statements for 300 requests`);
});

t.test('a conflict during the lookup of locks causes no refusal (repeatable read)', async (t) => {
  const { sessions, holder, newWriter } = await setUp(t);
  await create(holder, 'locked');
  await hold(holder, 'locked');
  let conflicts = 0;
  const { sessions: conflicting } = watched(sessions, (name) => {
    if (name !== 'look' || conflicts++ > 0) return;
    throw Object.assign(new Error('could not serialize access due to concurrent update'), { code: '40001' });
  });
  const writer = newWriter({ on: conflicting });
  const pending = outcomeOf(writer, one('locked'));
  t.strictSame(await outcomeOf(writer, one('free')), [1]);
  await holder.query('rollback');
  await pending;
});

t.test('a request object that is submitted twice is counted and answered twice', async (t) => {
  const { newWriter } = await setUp(t);
  const writer = newWriter();
  const request = one('likes');
  t.strictSame(await Promise.all([outcomeOf(writer, request), outcomeOf(writer, request)]), [[1], [2]]);
});

t.test('a caller of the library with an invalid amount does not cause other requests to fail', async (t) => {
  const { newWriter } = await setUp(t);
  const writer = newWriter();
  const [, good] = await Promise.all([outcomeOf(writer, one('x', 0.5)), outcomeOf(writer, one('likes'))]);
  t.strictSame(good, [1]);
});

import type { Client } from 'pg';
import t, { type Test } from 'tap';
import { VALUE_MAX } from '../../src/counters/counter.ts';
import { removeExpiredForEver } from '../../src/counters/removal.ts';
import { fingerprintOf, type IncrementRequest } from '../../src/counters/request.ts';
import { CounterStore } from '../../src/counters/store.ts';
import { CounterWriter, type WriterEvents, type WriterLimits } from '../../src/counters/writer.ts';
import { ConnectionError } from '../../src/database/failure.ts';
import type { PreparedStatement, Sessions } from '../../src/database/sessions.ts';
import { Problem } from '../../src/errors/problem.ts';
import { testApp, testClient, testDatabase, testOrm, until } from '../helper.ts';
import { slow } from '../pace.ts';

const unheard: WriterEvents = { written: () => {}, retried: () => {}, settled: () => {}, replayed: () => {} };

type Query = Pick<Sessions, 'query'>;

const one = (name: string, by = 1, key?: string): IncrementRequest => ({ increments: [{ name, by }], key });

const bulk = (...names: string[]): IncrementRequest => ({
  increments: names.map((name) => ({ name, by: 1 })),
});

const ended = (writer: CounterWriter, request: IncrementRequest) =>
  writer.submit(request).then(
    ({ values }) => values,
    (error: unknown) => (error instanceof Problem ? error.code : String(error)),
  );

/** Which of the writer's statements it is, without the digest of its text. */
const act = ({ name }: PreparedStatement): string => name.replace(/-[\w-]{12}$/, '');

/** Counts the statements that are sent, by their name, and does something before each. */
function watched(sessions: Query, before: (act: string) => Promise<void> | void = () => {}) {
  const sent: Record<string, number> = {};
  const query = async (statement: PreparedStatement) => {
    const name = act(statement);
    sent[name] = (sent[name] ?? 0) + 1;
    await before(name);
    return sessions.query(statement);
  };
  return { sent, sessions: { query } as Query };
}

async function setting(t: Test, env: NodeJS.ProcessEnv = {}) {
  const { sessions, databaseUrl } = await testOrm(t, env);
  const holder = await testClient(t, databaseUrl);
  const observer = await testClient(t, databaseUrl);
  /** Resolves when so many of this database's sessions wait for a lock. */
  const blocked = (count: number) =>
    until(async () => {
      const { rowCount } = await observer.query(
        `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      );
      return rowCount === count;
    });
  const writer = (limits: WriterLimits = {}, on: Query = sessions, lockMsMax = 50, events = unheard) =>
    new CounterWriter(new CounterStore(on, { keyHours: 24, lockMsMax }), events, limits);
  return { sessions, databaseUrl, holder, observer, blocked, writer };
}

const create = (client: Client, ...names: string[]) =>
  client.query('insert into counters select unnest($1::text[]), 0', [names]);

const hold = (holder: Client, ...names: string[]) =>
  holder.query(`begin; select from counters where name in ('${names.join("','")}') for update`);

const lost = () => new ConnectionError('unknown', 'the connection was lost');

t.test('a key that another replica counts meanwhile is not refused as out of range', async (t) => {
  const { holder, writer, blocked } = await setting(t);
  await holder.query(`insert into counters values ('x', ${VALUE_MAX - 1})`);
  // What another replica does with the first attempt of the same request.
  await holder.query(`begin; update counters set value = value + 1 where name = 'x'`);
  await holder.query(
    `insert into idempotency_keys values ('key', $1, '{${VALUE_MAX}}', now() + interval '1 day')`,
    [fingerprintOf(one('x'))],
  );
  const end = ended(writer({}, undefined, 30_000), one('x', 1, 'key'));
  await blocked(1);
  await holder.query('commit');
  t.strictSame(await end, [VALUE_MAX]);
});

t.test('an ambiguous result (40003, CockroachDB) is a lost answer and no refusal', async (t) => {
  const { sessions, writer } = await setting(t);
  let first = true;
  const ambiguous: Query = {
    query: async (statement) => {
      const result = await sessions.query(statement);
      if (act(statement) !== 'write-one' || !first) return result as never;
      first = false;
      throw Object.assign(new Error('result is ambiguous'), { code: '40003', severity: 'ERROR' });
    },
  };
  t.strictSame(await ended(writer({}, ambiguous), one('likes')), [1]);
});

t.test('after an unknown outcome, a lane does not wait for what still holds its row', async (t) => {
  const { sessions, holder, writer } = await setting(t, { LOCK_TIMEOUT_MS: '200' });
  let lose = false;
  const losing: Query = {
    query: async (statement) => {
      if (!lose || !act(statement).startsWith('write')) return sessions.query(statement);
      lose = false;
      throw lost();
    },
  };
  const lane = writer({}, losing);
  t.strictSame(await ended(lane, bulk('a', 'other')), [1, 1]);
  // The first attempt, on a server that waits for the rest of it, or for a standby.
  await holder.query(`begin; update counters set value = value + 1 where name = 'a'`);
  await holder.query('update counter_writers set seq = seq + 1');
  lose = true;
  t.equal(await ended(lane, one('a')), 'outcome_unknown');
  t.strictSame(await ended(lane, one('other')), [2]);
  await holder.query('rollback');
});

t.test('a request that waits in quarantine is refused when its time is over', async (t) => {
  const { holder, writer } = await setting(t);
  await create(holder, 'a', 'b');
  await hold(holder, 'a', 'b');
  const lane = writer({ lockedMsMax: 200 });
  const since = performance.now();
  const ends = await Promise.all(Array.from({ length: 200 }, () => ended(lane, bulk('a', 'b'))));
  const ms = performance.now() - since;
  t.ok(ends.every((end) => end === 'busy'));
  t.ok(ms < slow(3000), `took ${Math.round(ms)} ms; 200 + 50 are allowed`);
  await holder.query('rollback');
});

t.test('those that wait for other locks do not hold up a counter that is free again', async (t) => {
  const { holder, databaseUrl, writer } = await setting(t);
  const short = await testClient(t, databaseUrl);
  await create(holder, 'a', 'b', 'c');
  await hold(holder, 'a', 'b');
  await hold(short, 'c');
  const lane = writer({ lockedMsMax: 20_000 });
  const bulks = Array.from({ length: 200 }, () => ended(lane, bulk('a', 'b')));
  const held = ended(lane, one('c'));
  await until(async () => lane.quarantined === 201);
  await short.query('rollback');
  const since = performance.now();
  t.strictSame(await held, [1]);
  const ms = performance.now() - since;
  t.ok(ms < slow(2000), `took ${Math.round(ms)} ms after the release`);
  await holder.query('rollback');
  await Promise.all(bulks);
});

t.test('a request for two counters does not hold up those for one of them', async (t) => {
  const { holder, databaseUrl, writer } = await setting(t);
  const other = await testClient(t, databaseUrl);
  await create(holder, 'x', 'y');
  await hold(holder, 'x');
  const lane = writer({ lockedMsMax: slow(3000) });
  const first = ended(lane, one('x'));
  await until(async () => lane.quarantined === 1);
  await hold(other, 'y');
  const both = ended(lane, bulk('x', 'y'));
  const second = ended(lane, one('x'));
  await holder.query('rollback');
  t.ok(Array.isArray(await first), 'x is free');
  t.ok(Array.isArray(await second), 'x is free');
  await other.query('rollback');
  await both;
});

t.test('a caller that hangs up does not end the suspicion', async (t) => {
  const { holder, writer } = await setting(t);
  await create(holder, 'locked');
  await hold(holder, 'locked');
  const lane = writer();
  let gone = false;
  const held = ended(lane, { ...one('locked'), abandoned: () => gone });
  await until(async () => lane.quarantined === 1);
  gone = true;
  t.equal(await held, 'client_gone');
  const next = ended(lane, one('locked'));
  t.equal(lane.quarantined, 1, 'the next one does not hold up the main lane');
  await holder.query('rollback');
  await next;
});

t.test('a replay, which needs no lock, does not end the suspicion', async (t) => {
  const { holder, writer } = await setting(t);
  const lane = writer({ lockedMsMax: 20_000 });
  await lane.submit(one('locked', 1, 'key'));
  await hold(holder, 'locked');
  const held = ended(lane, one('locked'));
  await until(async () => lane.quarantined === 1);
  t.strictSame(await ended(lane, one('locked', 1, 'key')), [1]);
  const next = ended(lane, one('locked'));
  t.equal(lane.quarantined, 2, 'the next one does not hold up the main lane');
  await holder.query('rollback');
  await Promise.all([held, next]);
});

t.test('those that came before the suspicion do not hold up the main lane again', async (t) => {
  const { sessions, holder, writer, blocked } = await setting(t);
  await create(holder, 'locked');
  await hold(holder, 'locked');
  const { sent, sessions: counted } = watched(sessions);
  const lane = writer({ lockedMsMax: 20_000 }, counted, 1000);
  const held = [ended(lane, one('locked'))];
  await blocked(1);
  held.push(ended(lane, one('locked')));
  t.strictSame(await ended(lane, one('free')), [1]);
  t.equal(sent.unlocked, 1, 'the main lane has waited in vain once');
  await holder.query('rollback');
  await Promise.all(held);
});

t.test('batches of quarantined bulks have a bound', async (t) => {
  const { holder, writer } = await setting(t);
  const names = Array.from({ length: 999 }, (_, i) => `n${i}`);
  await create(holder, 'locked', ...names);
  await hold(holder, 'locked');
  let largest = 0;
  const events = { ...unheard, written: (increments: number) => (largest = Math.max(largest, increments)) };
  const lane = writer({ lockedMsMax: 30_000 }, undefined, 50, events);
  const held = Array.from({ length: 12 }, () => ended(lane, bulk('locked', ...names)));
  await until(async () => lane.quarantined === 12);
  await holder.query('rollback');
  t.ok((await Promise.all(held)).every((end) => Array.isArray(end)));
  t.ok(largest <= 5000, `${largest} increments in one statement; on the main lane: 5000 at most`);
});

t.test('removal stops at once when the service closes', async (t) => {
  // Its own timers do not keep a process alive.
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

t.test('what is quarantined does not hold up the end of the service', async (t) => {
  const { holder, writer } = await setting(t);
  await create(holder, 'locked');
  await hold(holder, 'locked');
  const closing = new AbortController();
  const lane = writer({ lockedMsMax: 20_000, closing: closing.signal });
  const held = ended(lane, one('locked'));
  await until(async () => lane.quarantined === 1);
  closing.abort(new Problem('shutting_down', 'the service is shutting down'));
  const since = performance.now();
  await lane.drain();
  const ms = performance.now() - since;
  t.ok(ms < slow(5000), `drained after ${Math.round(ms)} ms`);
  await holder.query('rollback');
  await held;
});

t.test(
  'neighbours are not refused when statements may take less time than the usual wait for a lock',
  async (t) => {
    const databaseUrl = await testDatabase(t);
    const app = await testApp(t, { STATEMENT_TIMEOUT_MS: String(slow(300)), DEMOS: 'false' }, databaseUrl);
    const holder = await testClient(t, databaseUrl);
    await create(holder, 'locked');
    await hold(holder, 'locked');
    const post = (name: string) => app.inject({ method: 'POST', url: `/counters/${name}/increments` });
    const held = post('locked');
    t.match(await post('free'), { statusCode: 200 });
    await holder.query('rollback');
    t.match(await held, { statusCode: 200 });
  },
);

t.test('a lock that ends while it is looked for does not scatter requests with keys', async (t) => {
  const { sessions, holder, writer } = await setting(t);
  await create(holder, 'locked');
  await hold(holder, 'locked');
  const { sent, sessions: counted } = watched(sessions, async (name) => {
    if (name === 'unlocked') await holder.query('rollback');
  });
  const lane = writer({}, counted);
  const held = Array.from({ length: 300 }, (_, i) => ended(lane, one('locked', 1, `key ${i}`)));
  t.ok((await Promise.all(held)).every((end) => Array.isArray(end)));
  t.ok((sent['write-keyed'] ?? 0) < 10, `${sent['write-keyed']} statements for 300 requests`);
});

t.test('a conflict while locks are looked for refuses nobody (repeatable read)', async (t) => {
  const { sessions, holder, writer } = await setting(t);
  await create(holder, 'locked');
  await hold(holder, 'locked');
  let conflicts = 0;
  const { sessions: conflicting } = watched(sessions, (name) => {
    if (name !== 'unlocked' || conflicts++ > 0) return;
    throw Object.assign(new Error('could not serialize access due to concurrent update'), { code: '40001' });
  });
  const lane = writer({}, conflicting);
  const held = ended(lane, one('locked'));
  t.strictSame(await ended(lane, one('free')), [1]);
  await holder.query('rollback');
  await held;
});

t.test('one request object that is submitted twice has two answers', async (t) => {
  const { writer } = await setting(t);
  const lane = writer();
  const request = one('likes');
  t.strictSame(await Promise.all([ended(lane, request), ended(lane, request)]), [[1], [2]]);
});

t.test('a library caller with a bad amount does not fail its neighbours', async (t) => {
  const { writer } = await setting(t);
  const lane = writer();
  const [, good] = await Promise.all([ended(lane, one('x', 0.5)), ended(lane, one('likes'))]);
  t.strictSame(good, [1]);
});

import type { Client } from 'pg';
import t, { type Test } from 'tap';
import { loadConfig } from '../../src/config.ts';
import type { CounterWriter } from '../../src/counters/writer.ts';
import { driverFor } from '../../src/database/driver.ts';
import { openCounterSessions } from '../../src/database/pool.ts';
import { silent, testApp, testClient, until } from '../helper.ts';
import { slow } from '../pace.ts';
import {
  hold,
  one,
  outcomeOf,
  setUp as setUpReplica,
  valuesIn,
  type WriterOptions,
  writerOn,
} from './replica.ts';

/** Writers with a short lock timeout, and another session that can hold locks. */
async function setUp(t: Test, options: WriterOptions = {}) {
  const { sessions, databaseUrl, client } = await setUpReplica(t);
  const newWriter = () => writerOn(sessions, { lockMsMax: 50, ...options });
  const holder = await testClient(t, databaseUrl);
  const release = () => holder.query('rollback');
  return { sessions, databaseUrl, client, newWriter, holder, release };
}

t.test('a locked counter delays the requests that need it, and no others', async (t) => {
  const { newWriter, holder, release } = await setUp(t);
  const writer = newWriter();
  await Promise.all(['locked', 'free'].map((name) => writer.submit(one(name))));
  await hold(holder, 'locked');
  const pending = outcomeOf(writer, one('locked'));
  const both = outcomeOf(writer, { increments: [...one('free').increments, ...one('locked').increments] });
  t.strictSame(await outcomeOf(writer, one('free')), [2], 'in the same batch');
  t.strictSame(await outcomeOf(writer, one('free')), [3], 'in the next one');
  t.equal(writer.held, 2);
  await release();
  const [alone, together] = await Promise.all([pending, both]);
  t.strictSame(
    [alone.at(-1), together.at(-1)].toSorted((a, b) => Number(a) - Number(b)),
    [2, 3],
    'in either order',
  );
  t.equal(together[0], 4);
  t.strictSame(await outcomeOf(writer, one('locked')), [4]);
  t.equal(writer.held, 0);
});

t.test(
  'a counter that another transaction has created and not committed is isolated, even among other new counters',
  async (t) => {
    const { newWriter, holder, release } = await setUp(t);
    const writer = newWriter();
    await holder.query(`begin; insert into safe_counters.counters (name, value) values ('new', 10)`);
    const pending = outcomeOf(writer, one('new'));
    const neighbours = Array.from({ length: 20 }, (_, i) => one(`neighbour ${i}`));
    const outcomes = await Promise.all(neighbours.map((request) => outcomeOf(writer, request)));
    t.ok(outcomes.every((outcome) => Array.isArray(outcome)));
    await release();
    t.strictSame(await pending, [1]);
  },
);

t.test('a request for a locked counter is refused as busy when its wait times out', async (t) => {
  const { newWriter, holder, client, release } = await setUp(t, { lockedMsMax: 200 });
  const writer = newWriter();
  await writer.submit(one('locked'));
  await hold(holder, 'locked');
  t.equal(await outcomeOf(writer, one('locked')), 'busy');
  await release();
  t.strictSame(
    await outcomeOf(writer, one('locked')),
    [2],
    'the next write finds that the lock was released',
  );
  t.strictSame(await valuesIn(client), { locked: 2 });
});

t.test(
  'a key that another transaction has used and not committed delays only the request with this key',
  async (t) => {
    const { newWriter, holder, release } = await setUp(t);
    const writer = newWriter();
    await holder.query(
      `begin; insert into safe_counters.idempotency_keys
       values (substr(sha256('key'), 1, 16), 'x', '{"value": 1}', now() + interval '1 day')`,
    );
    await Promise.all(['a', 'b'].map((name) => writer.submit(one(name))));
    const pending = outcomeOf(writer, one('a', 1, 'key'));
    t.strictSame(await outcomeOf(writer, one('b', 1, 'other')), [2]);
    await release();
    t.strictSame(await pending, [2]);
  },
);

t.test('no increment of a counter that several busy writers share is refused', async (t) => {
  const { newWriter, client } = await setUp(t, { lockedMsMax: 20_000 });
  const writers = [newWriter(), newWriter(), newWriter()];
  const outcomes = await Promise.all(
    Array.from({ length: 600 }, (_, i) => outcomeOf(writers[i % 3] as CounterWriter, one('hot'))),
  );
  t.equal(outcomes.filter((outcome) => Array.isArray(outcome)).length, 600);
  t.strictSame(await valuesIn(client), { hot: 600 });
});

t.test('when the waiting room is full, the request that has waited longest is refused', async (t) => {
  const { newWriter, holder, release } = await setUp(t, { queueMax: 3, lockedMsMax: 60_000 });
  const writer = newWriter();
  await writer.submit(one('locked'));
  await hold(holder, 'locked');
  const first = outcomeOf(writer, one('locked', 100));
  await until(async () => writer.held === 1);
  const others = [1, 2, 3].map((by) => outcomeOf(writer, one('locked', by)));
  t.equal(await first, 'busy');
  t.strictSame(await outcomeOf(writer, one('free')), [1]);
  await release();
  t.strictSame(await Promise.all(others), [[2], [4], [7]]);
});

/** Creates counters in a transaction that stays open, so that other sessions do not see them. */
const createUncommitted = (holder: Client, count: number) =>
  holder.query(
    `begin; insert into safe_counters.counters (name, value) select 'new ' || i, 0 from generate_series(1, ${count}) i`,
  );

for (const count of [30, 200])
  t.test(
    `a new counter is written soon, although another transaction has created ${count} others and not committed`,
    async (t) => {
      const { newWriter, holder, release } = await setUp(t, { lockedMsMax: 1000 });
      const writer = newWriter();
      await createUncommitted(holder, count);
      const pending = Array.from({ length: count }, (_, i) => outcomeOf(writer, one(`new ${i + 1}`)));
      const since = performance.now();
      t.strictSame(await outcomeOf(writer, one('neighbour')), [1]);
      const ms = performance.now() - since;
      t.ok(ms < slow(500 + 10 * count), `took ${Math.round(ms)} ms`);
      t.ok(
        (await Promise.all(pending)).every((outcome) => outcome === 'busy'),
        'the others are refused when their wait times out',
      );
      await release();
    },
  );

t.test('many new counters are written by a few statements, although one more is not committed', async (t) => {
  const commits: number[] = [];
  const events = { written: (increments: number) => commits.push(increments) };
  const { newWriter, holder, release } = await setUp(t, { events });
  const writer = newWriter();
  await createUncommitted(holder, 1);
  const pending = outcomeOf(writer, one('new 1'));
  const outcomes = await Promise.all(
    Array.from({ length: 900 }, (_, i) => outcomeOf(writer, one(`free ${i}`))),
  );
  t.ok(outcomes.every((outcome) => Array.isArray(outcome)));
  t.ok(commits.length < 40, `${commits.length} commits`);
  await release();
  t.strictSame(await pending, [1]);
});

t.test('a counter that is free again is soon written, although many are still locked', async (t) => {
  const { newWriter, holder, release, databaseUrl } = await setUp(t, { lockMsMax: 250 });
  const writer = newWriter();
  await Promise.all(Array.from({ length: 41 }, (_, i) => writer.submit(one(`counter ${i}`))));
  const other = await testClient(t, databaseUrl);
  await hold(other, 'counter 0');
  await holder.query(`begin; select from safe_counters.counters where name <> 'counter 0' for update`);
  const pending = Array.from({ length: 41 }, (_, i) => outcomeOf(writer, one(`counter ${i}`)));
  // By now, each of them was found to be locked.
  await until(async () => writer.held === 41);
  await other.query('rollback');
  const since = performance.now();
  t.strictSame(await pending[0], [2]);
  const ms = performance.now() - since;
  t.ok(ms < slow(2000), `took ${Math.round(ms)} ms after the release`);
  await release();
  await Promise.all(pending);
});

t.test('while the table is locked, an increment is refused as busy within the time for locks', async (t) => {
  const { databaseUrl, holder } = await setUp(t);
  const app = await testApp(t, { LOCK_TIMEOUT_MS: '1500', DEMOS: 'false' }, databaseUrl);
  const increment = () => app.inject({ method: 'POST', url: '/counters/likes/increments' });
  await increment();
  await holder.query('begin; lock table safe_counters.counters in share mode');
  const since = performance.now();
  const answer = await increment();
  t.match(answer.json(), { code: 'busy', detail: /perhaps the table is/ });
  t.ok(performance.now() - since < slow(5000), `it took ${performance.now() - since} ms`);
  await holder.query('rollback');
  t.equal((await increment()).json<{ value: number }>().value, 2, 'it was not counted');
});

for (const [sessions, settings] of [
  ['sessions with time limits', undefined],
  ['sessions of a pooler that refuses settings', { refused: true, applied: false, synchronousCommit: 'on' }],
] as const)
  t.test(`with ${sessions}, what waits for a table is ended, and is not applied later`, async (t) => {
    const { databaseUrl, client, holder, release } = await setUp(t);
    const config = loadConfig({ LOCK_TIMEOUT_MS: '100', STATEMENT_TIMEOUT_MS: '200' });
    const own = openCounterSessions(driverFor(databaseUrl), { config, log: silent, session: settings });
    t.teardown(() => own.end());
    const requests = [
      one('plain'),
      one('keyed', 1, 'key'),
      { increments: [{ name: 'bounded', by: 1, max: 5 }] },
    ];
    const writers = requests.map(() => writerOn(own, { lockMsMax: 50, lockedMsMax: 300 }));
    for (const writer of writers) await writer.submit(one('warm'));
    await holder.query('begin; lock table safe_counters.counters in share mode');
    const outcomes = await Promise.all(
      requests.map((request, i) => outcomeOf(writers[i] as CounterWriter, request)),
    );
    for (const outcome of outcomes) t.match(outcome, settings ? /^busy$|^RetriesExhaustedError/ : /^busy$/);
    await release();
    // Statements whose connections the writer has closed are still waiting until now.
    await until(async () => {
      const { rowCount } = await client.query(
        `select from pg_stat_activity where datname = current_database() and state = 'active' and pid <> pg_backend_pid()`,
      );
      return rowCount === 0;
    });
    t.strictSame(await valuesIn(client), { warm: writers.length });
  });

t.test('a request that the database refuses for a reason of its own does not fail its batch', async (t) => {
  const { newWriter, holder } = await setUp(t);
  await holder.query(`
    create function refuse() returns trigger language plpgsql as $$ begin raise 'not this one'; end $$;
    create trigger refuse before insert on safe_counters.counters for each row when (new.name like 'bad%') execute function refuse()`);
  const writer = newWriter();
  const names = ['a', 'bad', 'b', 'c', 'bad too', 'd'];
  const outcomes = await Promise.all(names.map((name) => outcomeOf(writer, one(name))));
  t.strictSame(outcomes, [[1], 'error: not this one', [1], [1], 'error: not this one', [1]]);
});

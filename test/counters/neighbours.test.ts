import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { CounterWriter } from '../../src/counters/writer.ts';
import { testClient, testDatabase } from '../helper.ts';
import { slow } from '../pace.ts';
import { bulk, create, hold, one, outcomeOf, sessionsOn, setUp, writerOn } from './replica.ts';

type Request = Parameters<typeof outcomeOf>[1];

/** The writers of several replicas, each with its own connections. */
async function replicas(t: Test, count: number) {
  const databaseUrl = await testDatabase(t);
  const writers = Array.from({ length: count }, () =>
    writerOn(sessionsOn(t, databaseUrl), { lockMsMax: 2000 }),
  );
  return {
    writers,
    client: await testClient(t, databaseUrl),
    holder: await testClient(t, databaseUrl),
    databaseUrl,
  };
}

const isRefused = (outcome: unknown): outcome is string => typeof outcome === 'string';

/** Callers that each send the next request when the last one was answered, for so long. */
async function inLoops(callers: number, ms: number, send: (caller: number) => Promise<unknown>) {
  const outcomes: unknown[] = [];
  const tookMs: number[] = [];
  const endsAt = performance.now() + ms;
  await Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      while (performance.now() < endsAt) {
        const since = performance.now();
        outcomes.push(await send(caller));
        tookMs.push(performance.now() - since);
      }
    }),
  );
  tookMs.sort((a, b) => a - b);
  return {
    outcomes,
    refused: outcomes.filter(isRefused),
    p99Ms: tookMs[Math.floor(tookMs.length * 0.99)] ?? 0,
  };
}

/** Refuses rows whose names begin with `bad`, as a trigger or a policy of the application may do. */
const refuse = (code: string) => `
  create or replace function refuse() returns trigger language plpgsql as $$
    begin raise 'not this one' using errcode = '${code}'; end $$;
  create or replace trigger refuse before insert on safe_counters.counters
    for each row when (new.name like 'bad%') execute function refuse()`;

const CODES = ['42501', '42P01', 'XX000', '57014', '40001', '23505', '22012', '22003', '55P03', '23514'];

t.test(
  'what the server refuses for one request, with whatever code, is refused for that one alone',
  async (t) => {
    const { sessions, client } = await setUp(t);
    const writer = writerOn(sessions);
    for (const code of CODES) {
      await client.query(refuse(code));
      const since = performance.now();
      const good = Array.from({ length: 40 }, (_, i) =>
        outcomeOf(writer, one(`${code} ${i}`, 1, randomUUID())),
      );
      const bad = [one('bad'), one('bad', 1, randomUUID()), { increments: [{ name: 'bad', by: 1, max: 9 }] }];
      const refused = bad.map((request) => outcomeOf(writer, request));
      const outcomes = await Promise.all(good);
      const ms = performance.now() - since;
      t.ok(
        outcomes.every((outcome) => Array.isArray(outcome)),
        `${code}: the others are counted`,
      );
      t.ok(ms < slow(1500), `${code}: the others took ${Math.round(ms)} ms`);
      t.ok((await Promise.all(refused)).every(isRefused), code);
    }
  },
);

for (const [title, limit] of [
  ['a statement timeout of 50 ms in the role', `alter role current_user set statement_timeout = 50`],
  ['a program that ends sessions which wait for 40 ms', undefined],
] as const)
  t.test(`with ${title}, one locked counter delays no others`, async (t) => {
    const { client, holder, databaseUrl } = await replicas(t, 0);
    if (limit) {
      await client.query(`create role ${ROLE} superuser login password 'test'`);
      await client.query(limit.replace('current_user', ROLE));
      t.teardown(() => client.query(`drop role ${ROLE}`));
    }
    await create(client, 'locked', 'free');
    await hold(holder, 'locked');
    const url = new URL(databaseUrl);
    if (limit) Object.assign(url, { username: ROLE, password: 'test' });
    // As behind a pooler that ignores the settings of sessions: those of the role apply.
    const writer = writerOn(
      sessionsOn(t, url.href, {}, { refused: true, applied: false, synchronousCommit: 'on' }),
      {
        lockMsMax: 2000,
      },
    );
    const watching = { isOn: limit === undefined };
    const watchdog = (async () => {
      while (watching.isOn) {
        await client.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()
           and wait_event_type = 'Lock' and clock_timestamp() - query_start > interval '40 ms'`,
        );
        await setTimeout(5);
      }
    })();
    const locked = inLoops(5, 1200, async () => outcomeOf(writer, one('locked')));
    const others = await inLoops(5, 1200, async (i) =>
      outcomeOf(writer, i === 0 ? one(randomUUID()) : one('free')),
    );
    t.strictSame(others.refused, []);
    t.ok(others.p99Ms < slow(1500), `p99: ${Math.round(others.p99Ms)} ms`);
    watching.isOn = false;
    await watchdog;
    await holder.query('rollback');
    await locked;
  });

/** A role of the whole server: other tests run at the same time. */
const ROLE = `impatient_${process.pid}`;

for (const commitMs of [150, 250])
  t.test(`commits of ${commitMs} ms: three replicas that share 30 counters refuse nothing`, async (t) => {
    const { writers, client } = await replicas(t, 3);
    await create(client, ...Array.from({ length: 30 }, (_, i) => `counter ${i}`));
    await client.query(`
      create function wait() returns trigger language plpgsql as 'begin perform pg_sleep(${commitMs / 1000}); return null; end';
      create constraint trigger wait after insert or update on safe_counters.writers deferrable initially deferred
        for each row execute function wait()`);
    const { refused, p99Ms } = await inLoops(60, 3000, (caller) =>
      outcomeOf(
        writers[caller % 3] as CounterWriter,
        one(`counter ${Math.floor(Math.random() * 30)}`, 1, caller % 2 ? randomUUID() : undefined),
      ),
    );
    t.strictSame(refused, []);
    // A request waits for its replica's batch, and then for its own: each of them waits for those of the two other replicas.
    t.ok(p99Ms < slow(6 * commitMs + 600), `p99: ${Math.round(p99Ms)} ms`);
  });

t.test(
  'bulks over eight counters, which an application locks for 75 ms at a time, are counted',
  async (t) => {
    const { writers, holder } = await replicas(t, 1);
    const names = Array.from({ length: 8 }, (_, i) => `counter ${i}`);
    await create(holder, ...names);
    const locker = { isOn: true };
    const locking = (async () => {
      for (let i = 0; locker.isOn; i += 3) {
        await hold(holder, names[i % 8] as string);
        await setTimeout(75);
        await holder.query('rollback');
      }
    })();
    const { refused, outcomes } = await inLoops(12, 1500, () =>
      outcomeOf(writers[0] as CounterWriter, bulk(...names)),
    );
    locker.isOn = false;
    await locking;
    t.strictSame(refused, []);
    t.ok(outcomes.length >= 12);
  },
);

t.test('a key that another transaction holds delays no other request of its counter', async (t) => {
  const { writers, holder } = await replicas(t, 2);
  await create(holder, 'shared');
  await holder.query(`begin; insert into safe_counters.idempotency_keys
    values (substr(sha256('held'), 1, 16), 'x', '{"value": 1}', now() + interval '1 day')`);
  const pending: Promise<unknown>[] = [];
  const others = await inLoops(2, 1500, async (i) => {
    const writer = writers[i] as CounterWriter;
    pending.push(outcomeOf(writer, one('shared', 1, 'held')));
    await setTimeout(50);
    return outcomeOf(writer, one('shared', 1, i === 0 ? randomUUID() : undefined));
  });
  t.strictSame(others.refused, []);
  t.ok(others.p99Ms < slow(1500), `p99: ${Math.round(others.p99Ms)} ms`);
  await holder.query('rollback');
  await Promise.all(pending);
});

t.test('changes of a locked counter do not delay changes, lists and windows of others', async (t) => {
  const { writers, holder } = await replicas(t, 1);
  const [writer] = writers as [CounterWriter];
  await create(holder, 'locked', 'free');
  await hold(holder, 'locked');
  const change = (name: string, value: number) =>
    writer
      .submit({ name, change: { value }, precondition: 'exists' })
      .catch((error: unknown) => String(error));
  const pending = [1, 2, 3, 4].map((value) => change('locked', value));
  const others = await inLoops(2, 1000, (i) => change('free', i));
  t.strictSame(others.refused, []);
  t.ok(others.p99Ms < slow(1500), `p99: ${Math.round(others.p99Ms)} ms`);
  await holder.query('rollback');
  await Promise.all(pending);
});

t.test('bulks leave room in the queue for single increments', async (t) => {
  const { writers, client } = await replicas(t, 1);
  const [writer] = writers as [CounterWriter];
  const names = Array.from({ length: 1000 }, (_, i) => `counter ${i}`);
  await create(client, ...names);
  const request: Request = bulk(...names);
  const bulks = inLoops(60, 1500, () => outcomeOf(writer, request));
  const singles = await inLoops(4, 1500, () => outcomeOf(writer, one('single')));
  t.strictSame(singles.refused, []);
  const { outcomes } = await bulks;
  t.ok(outcomes.some(isRefused), 'the queue was full');
});

import { setTimeout as wait } from 'node:timers/promises';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { Arena } from '../../src/races/arena.ts';
import { measureRetry } from '../../src/races/pace.ts';
import { runTrial, type TrialResult } from '../../src/races/trial.ts';
import { Post } from '../../src/likes/post.ts';
import { atomic } from '../../src/strategies/atomic.ts';
import type { Strategy } from '../../src/likes/strategy.ts';
import { testApp, testClient, testDatabase, testOrm } from '../helper.ts';
import { slow } from '../pace.ts';

/** Longer than the increments of a race wait for each other. */
const LOCK_TIMEOUT_MS = String(slow(250));

const { orm, sessions, databaseUrl } = await testOrm(t, { LOCK_TIMEOUT_MS });
const arena = new Arena(sessions, 4);
const { signal } = new AbortController();
const size = { workers: 4, increments: 3, signal, log: pino({ level: 'silent' }) };

/** Holds a lock as long as the test runs: a session that waits for it times out. */
const holder = await testClient(t, databaseUrl);
await holder.query('select pg_advisory_lock(1)');
const WAIT = 'select pg_advisory_xact_lock(1)';

const refused = Object.assign(new Error('refused'), { code: '40001' });

/** A correct strategy whose increments, from the given one on, cannot finish in time. */
const slowFrom = (first: number, more: Partial<Strategy>): Strategy => {
  let begun = 0;
  return {
    ...atomic,
    ...more,
    increment: async (em, pk) => {
      begun += 1;
      if (begun < first) return more.increment ? more.increment(em, pk) : atomic.increment(em, pk);
      if (more.attempts !== 1) throw refused;
      await em.execute(WAIT);
      return undefined;
    },
  };
};

const measured = async (strategy: Strategy, workers: number, increments: number) =>
  measureRetry(arena, { ...size, strategy, workers, increments, pk: 0, newSession: () => orm.em.fork() });

function isInconclusive(t: Test, result: TrialResult | undefined, figures: Partial<TrialResult> = {}) {
  t.match(result, { verdict: 'inconclusive', holds: null, lost: 0, ...figures });
  t.strictSame(result?.violations, []);
}

t.test('a strategy whose increments wait too long for a lock is inconclusive', async (t) => {
  const strategy = slowFrom(6, { attempts: 1 });
  const result = await runTrial(orm, arena, { ...size, strategy });
  isInconclusive(t, result, { acknowledged: 5, final: 5 });
});

t.test('a strategy whose retries exceed their time limit is inconclusive', async (t) => {
  const result = await runTrial(orm, arena, { ...size, strategy: slowFrom(6, {}), retryMsMax: 50 });
  isInconclusive(t, result);
  t.equal(result.final, result.acknowledged);
});

t.test('a race beyond the time limit of its request is inconclusive', async (t) => {
  const over = AbortSignal.timeout(0);
  await wait(1);
  const result = await runTrial(orm, arena, { ...size, strategy: atomic, signal: over });
  isInconclusive(t, result, { attempted: 0, duration_ms: 0, increments_per_second: 0 });
});

t.test('a lost update breaks the claim, even in a race that does not finish', async (t) => {
  // Each increment reports a success, and only the first one changes the value.
  const lossyStrategy = slowFrom(6, {
    attempts: 1,
    increment: async (em, pk) => em.nativeUpdate(Post, pk, { like: 1 }),
  });
  t.match(await runTrial(orm, arena, { ...size, strategy: lossyStrategy }), {
    verdict: 'loses',
    holds: false,
    lost: 4,
  });
});

t.test('exhausted attempts break the claim, unlike an exhausted time limit', async (t) => {
  const strategy = slowFrom(6, { attempts: 2 });
  await t.rejects(runTrial(orm, arena, { ...size, strategy }), {
    message: /not successful after 2 attempts/,
  });
  const never = slowFrom(0, { attempts: 2 });
  await t.rejects(runTrial(orm, arena, { ...size, strategy: never }), { message: /without contention/ });
});

t.test(
  'the time limit for retries follows from the time without contention and the number of workers',
  async (t) => {
    const sleeping: Strategy = {
      ...atomic,
      increment: async (em) => em.execute('select pg_sleep(0.05)').then(() => 1),
    };
    const ms = await measured(sleeping, 8, 25);
    t.ok(ms >= 0.05 * 8 * 8 * 25 * 1000, `${ms} ms`);
    t.equal(await measured(sleeping, 64, 100), 300_000, 'the limit is bounded');
    t.equal(await measured(sleeping, 2, 1), 30_000, 'a fast strategy has the minimum');
  },
);

t.test('POST /races answers with inconclusive results beside conclusive ones', async (t) => {
  const url = await testDatabase(t);
  const app = await testApp(t, { LOCK_TIMEOUT_MS }, url);
  const client = await testClient(t, url);
  // The advisory locks of the strategy, for every post that the race may create.
  await client.query('select pg_advisory_lock(1318902001, pk) from generate_series(1, 50) pk');
  const payload = { strategies: ['advisory-lock', 'atomic'] };
  const response = await app.inject({ method: 'POST', url: '/races', payload });
  const [waiting, atomicResult, ...others] = response.json<TrialResult[]>();
  isInconclusive(t, waiting, { strategy: 'advisory-lock', acknowledged: 0 });
  t.match(atomicResult, { strategy: 'atomic', verdict: 'exact', holds: true });
  t.strictSame(others, []);
});

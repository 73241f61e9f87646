import type { Client } from 'pg';
import t from 'tap';
import { loadConfig } from '../../src/config.ts';
import { failureOf } from '../../src/database/failure.ts';
import { ROWS, T1, T2, T3, TABLE } from '../../src/labs/bench/sessions.ts';
import { Observer } from '../../src/labs/bench/observer.ts';
import { Stepper } from '../../src/labs/bench/schedule.ts';
import { withScratch } from '../../src/labs/bench/scratch.ts';
import { Timeline } from '../../src/labs/bench/timeline.ts';
import { testClient, testDatabase, until } from '../helper.ts';
import { labContext, leftovers } from './lab-helper.ts';

const begin = [T1, T2, T3].map(({ begin: step }) => step);
const setup = `${TABLE}; ${ROWS}`;

t.test(
  'a waiting step is reported with the lock holder, and proceeds when the lock is released',
  async (t) => {
    const context = await labContext(t);
    const entries = await withScratch(context, setup, async (scratch) => {
      const steps = [
        ...begin,
        T1.write(1, 11),
        T2.write(1, 12),
        T3.write(1, 13),
        // A rollback: after a commit, either waiting session might be the first to lock the new version of the row.
        T1.abort,
        T2.commit,
        T3.commit,
      ];
      return new Stepper(scratch).run(steps);
    });
    const of = (session: string) => entries.find((entry) => entry.session === session && entry.blocked_by);
    t.match(of('T2'), { sql: /12/, blocked_by: ['T1'], row_count: 1 });
    t.ok((of('T2')?.blocked_ms ?? 0) > 0);
    // In the queue behind T2, which waits for T1.
    t.match(of('T3'), { sql: /13/, blocked_by: ['T2'], row_count: 1 });
    const order = entries
      .filter(({ sql }) => sql !== 'begin')
      .map(({ session, sql }) => `${session} ${sql?.slice(0, 6)}`);
    t.strictSame(order, ['T1 update', 'T2 update', 'T3 update', 'T1 rollba', 'T2 commit', 'T3 commit']);
  },
);

t.test('a session that fails rolls back at once, and its remaining steps are skipped', async (t) => {
  const context = await labContext(t);
  const entries = await withScratch(context, setup, async (scratch) => {
    return new Stepper(scratch).run([
      ...begin,
      T1.step('select 1/0'),
      T1.write(1, 11),
      T1.commit,
      T2.read(1),
    ]);
  });
  t.match(entries.slice(3), [
    { session: 'T1', sqlstate: '22012' },
    { session: 'T1', sql: 'rollback' },
    { session: 'T2', rows: [{ id: 1, value: 10 }] },
  ]);
  t.equal(entries.length, 6);
});

t.test('an abort while sessions wait for each other leaves nothing on the server', async (t) => {
  const context = await labContext(t);
  const client = await testClient(t, context.databaseUrl);
  const stop = new AbortController();
  const stopped = withScratch({ ...context, signal: stop.signal }, setup, async (scratch) => {
    const running = new Stepper(scratch).run([T1.begin, T1.write(1, 11), T2.write(1, 12), T2.commit]);
    await scratch.observer.untilBlocked(1);
    stop.abort(new Error('enough'));
    await running;
  });
  await t.rejects(stopped, { message: 'enough' });
  t.strictSame(await leftovers(client), { schemas: 0, tables: 0, connections: 0, transactions: 0, locks: 0 });
});

t.test('between two polls of the server there is a pause', async (t) => {
  const client = { query: async () => ({ rows: [] }) } as unknown as Client;
  const startedAt = performance.now();
  let polls = 0;
  await new Observer(client, 'run', new Timeline()).until(() => (polls += 1) > 100);
  t.ok(performance.now() - startedAt >= 100);
});

t.test('a connection that breaks during an experiment is reported as lost', async (t) => {
  const context = await labContext(t);
  const client = await testClient(t, context.databaseUrl);
  const broken = withScratch(context, setup, async (scratch) => {
    const killed =
      'select pg_terminate_backend(pid) from pg_stat_activity where starts_with(application_name, $1)';
    await client.query(killed, [scratch.schema]);
    await scratch.outside.query(ROWS);
  });
  t.equal(await broken.catch(failureOf), 'lost');
});

t.test('the leftovers of a killed process are removed by the next experiment', async (t) => {
  const databaseUrl = await testDatabase(t, { migrated: false });
  const client = await testClient(t, databaseUrl);
  await client.query('create schema lab_0123456789ab; create schema lab_of_mine');
  const { signal } = new AbortController();
  const log = { info: () => {}, warn: () => {} };
  await withScratch({ databaseUrl, config: loadConfig({}), log, signal }, '', async (scratch) => {
    // The schema of a running experiment is kept.
    await withScratch({ databaseUrl, config: loadConfig({}), log, signal }, '', async () => {});
    t.equal((await client.query(`select from pg_namespace where nspname = '${scratch.schema}'`)).rowCount, 1);
  });
  const { rows } = await client.query(`select nspname from pg_namespace where nspname like 'lab%'`);
  t.strictSame(rows, [{ nspname: 'lab_of_mine' }]);
  await until(async () => (await leftovers(client)).connections === 0);
});

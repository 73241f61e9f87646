import t from 'tap';
import { loadConfig } from '../../src/config.ts';
import { runExperiment } from '../../src/labs/bench/experiment.ts';
import { session } from '../../src/labs/session/index.ts';
import { readYourWrites } from '../../src/labs/session/read-your-writes.ts';
import { readerWriter } from '../../src/labs/session/reader-writer.ts';
import { testClient, until } from '../helper.ts';
import { completePostgres, startPair } from '../standby.ts';
import { holdAndLeaveNothing, labContext } from './lab-helper.ts';

t.test('session: every claim holds that needs no standby', async (t) => {
  const experiments = session.experiments.filter((one) => one !== readYourWrites);
  await holdAndLeaveNothing(t, experiments, await labContext(t));
});

t.test('without a standby, read-your-writes is not supported', async (t) => {
  t.match(await runExperiment(readYourWrites, await labContext(t)), {
    holds: null,
    figures: { verdict: 'needs a standby', standby: false, from_the_writer: 100, caught_up: 100 },
  });
});

const bin = await completePostgres();
const asApp = (url: string) => url.replace('postgres:test@', 'app:test@');
const skip = bin ? false : 'pg_basebackup is not installed';

t.test(
  'with a streaming standby, reads go to the standby, and writes that it lacks are read from the primary',
  { skip },
  async (t) => {
    const { primary, standby } = await startPair(t, bin ?? '');
    const { signal } = new AbortController();
    const context = {
      databaseUrl: primary,
      config: loadConfig({ DATABASE_REPLICA_URLS: standby }),
      log: { info: () => {}, warn: () => {} },
      signal,
    };
    await holdAndLeaveNothing(t, [readerWriter, readYourWrites], context);
    const [routed, written] = await Promise.all([
      runExperiment(readerWriter, context),
      runExperiment(readYourWrites, context),
    ]);
    t.match(routed.figures, { standby: true, reader: { in_recovery: true } });
    t.match(written.figures, { standby: true, paused: true, at_once: 0, refreshed: 0 });
    const both = await Promise.all([1, 2].map(() => runExperiment(readYourWrites, context)));
    for (const one of both) t.match(one, { holds: true }, 'two callers at once');
  },
);

t.test('without the right to pause the standby, read-your-writes is not supported', { skip }, async (t) => {
  const { primary, standby } = await startPair(t, bin ?? '');
  const client = await testClient(t, primary);
  await client.query(`create role app login password 'test'; grant create on database postgres to app`);
  const context = await labContext(t, { DATABASE_REPLICA_URLS: asApp(standby) });
  const run = async () => runExperiment(readYourWrites, { ...context, databaseUrl: asApp(primary) });
  const verdict = /^needs a role that may pause the standby/;
  t.match(await run(), { holds: null, figures: { verdict, standby: true, paused: false } });
  await client.query('grant execute on function pg_wal_replay_pause, pg_wal_replay_resume to app');
  t.match(await run(), { holds: true, figures: { paused: true } });
});

t.test(
  'a caller that disconnects while the standby is paused does not leave it paused',
  { skip },
  async (t) => {
    const { primary, standby } = await startPair(t, bin ?? '');
    const [client, observer] = [await testClient(t, primary), await testClient(t, standby)];
    const paused = async () => {
      const { rows } = await observer.query<{ paused: boolean }>(
        'select pg_is_wal_replay_paused() as paused',
      );
      return rows[0]?.paused === true;
    };
    const stop = new AbortController();
    const context = {
      databaseUrl: primary,
      config: loadConfig({ DATABASE_REPLICA_URLS: standby }),
      log: { info: () => {}, warn: () => {} },
      signal: stop.signal,
    };
    // The experiment waits until its table is locked, then pauses the standby, and then waits for the table.
    const gate = `hashtext('safe-counters: a standby that lags')`;
    await client.query(`select pg_advisory_lock(${gate})`);
    const running = runExperiment(readYourWrites, context);
    const table = `select relnamespace::regnamespace || '.posts' as posts from pg_class where relname = 'posts'`;
    await until(async () => (await client.query(table)).rowCount === 1);
    const { rows } = await client.query<{ posts: string }>(table);
    await client.query(`begin; lock table ${rows[0]?.posts} in exclusive mode`);
    await client.query(`select pg_advisory_unlock(${gate})`);
    await until(paused);
    stop.abort(new Error('the client disconnected'));
    await client.query('rollback');
    await t.rejects(running, { message: 'the client disconnected' });
    t.notOk(await paused());
  },
);

import t, { type Test } from 'tap';
import { Counters } from '../../src/counters/counters.ts';
import { Sessions } from '../../src/database/sessions.ts';
import { silent, testClient, testDatabase, testPool } from '../helper.ts';
import { blocked, SCHEMA, sessionsOn } from './replica.ts';
import { commits, interrupted, type Query } from './unreliable.ts';

const abandon = () => {};

function countersOn(t: Test, sessions: Query): Counters {
  const counters = new Counters(
    { query: sessions.query.bind(sessions), transaction: sessions.transaction.bind(sessions), abandon },
    { schema: SCHEMA, statementMsMax: 10_000, warn: silent.warn },
  );
  t.teardown(() => counters.close());
  return counters;
}

/** Counters in two processes whose sessions have an isolation level at which concurrent changes may conflict. */
async function replicas(t: Test, level: string) {
  const connectionString = await testDatabase(t);
  const options = `-c default_transaction_isolation=${level.replace(' ', '\\ ')}`;
  const open = () => countersOn(t, new Sessions(testPool(t, { connectionString, options })));
  const observer = await testClient(t, connectionString);
  const holder = await testClient(t, connectionString);

  /** Lets a change wait for a lock of another transaction, which sets the counter to 5 and then commits. */
  const meetConflict = async <T>(
    change: () => Promise<T>,
    waiting = 1,
  ): Promise<PromiseSettledResult<T>[]> => {
    await holder.query(`begin; update safe_counters.counters set value = 5 where name = 'likes'`);
    const changes = Array.from({ length: waiting }, change);
    const settled = Promise.allSettled(changes);
    await blocked(observer, waiting);
    await holder.query('commit');
    return settled;
  };
  return { all: [open(), open()] as [Counters, Counters], meetConflict };
}

for (const level of ['read committed', 'repeatable read', 'serializable']) {
  t.test(
    `${level}: a change that met a conflict is decided on the state that the conflict left`,
    async (t) => {
      const { all, meetConflict } = await replicas(t, level);
      const [counters] = all;
      await counters.set('likes', { value: 1 }, 'missing');
      const [changed] = await meetConflict(() => counters.set('likes', { value: 7 }, 'exists'));
      t.match(changed, { status: 'fulfilled', value: { value: 7, replaced: 5 } });
      const refused = { status: 'rejected', reason: { code: 'precondition_failed' } };
      t.match(await meetConflict(() => counters.set('likes', { value: 1 }, { value: 7 })), [refused]);
      t.match(await counters.read('likes'), { value: 5 });
      await counters.set('likes', { value: 7 }, 'exists');
      t.match(await meetConflict(() => counters.delete('likes', { value: 7 })), [refused]);
      const deleted = [{ status: 'fulfilled', value: true }];
      t.match(await meetConflict(() => counters.delete('likes', 'exists')), deleted);
      t.equal(await counters.read('likes'), undefined);
      t.equal(await counters.delete('likes', 'exists'), false);
    },
  );

  t.test(`${level}: a change that two replicas make at once, with one key, is made once`, async (t) => {
    const { all, meetConflict } = await replicas(t, level);
    await all[0].set('likes', { value: 5 }, 'missing');
    let next = 0;
    const once = () => {
      const counters = all[next % 2] as Counters;
      next += 1;
      return counters.set('likes', { value: 7 }, { value: 5 }, { key: 'once' });
    };
    const answers = await meetConflict(once, 2);
    const replays = answers.map((answer) => answer.status === 'fulfilled' && answer.value.replayed);
    t.same(new Set(replays), new Set([false, true]));
    for (const answer of answers) t.match(answer, { value: { value: 7, replaced: 5 } });
  });

  t.test(`${level}: concurrent changes of one counter are all made`, async (t) => {
    const { all } = await replicas(t, level);
    await all[0].set('likes', { value: 0 }, 'missing');
    const changes = Array.from({ length: 40 }, (_, i) =>
      (all[i % 2] as Counters).set('likes', { value: i + 1 }, 'exists', i % 4 < 2 ? { key: `key-${i}` } : {}),
    );
    const replaced = (await Promise.all(changes)).map((changed) => changed.replaced ?? Number.NaN);
    const last = (await all[0].read('likes'))?.value ?? Number.NaN;
    // Each value was replaced once, by the next change.
    t.same(
      [...replaced, last].toSorted((a, b) => a - b),
      Array.from({ length: 41 }, (_, i) => i),
    );
  });
}

t.test(
  'a change that meets a conflict each time is refused after a limited number of attempts, and not made',
  async (t) => {
    const databaseUrl = await testDatabase(t);
    const sessions = sessionsOn(t, databaseUrl);
    await countersOn(t, sessions).set('likes', { value: 1 }, 'missing');
    let attempts = 0;
    const conflicting = interrupted(sessions, (texts) => {
      if (!commits(texts)) return;
      attempts += 1;
      throw Object.assign(new Error('could not serialize access'), { code: '40001' });
    });
    const counters = countersOn(t, conflicting);
    const changes: (() => Promise<unknown>)[] = [
      () => counters.set('likes', { value: 2 }, 'exists'),
      () => counters.set('likes', { value: 2 }, 'exists', { key: 'once' }),
      () => counters.delete('likes', 'exists'),
    ];
    for (const change of changes) {
      attempts = 0;
      await t.rejects(change(), { code: 'retries_exhausted' });
      t.ok(attempts > 1 && attempts <= 24, `${attempts} attempts`);
    }
    t.match(await counters.read('likes'), { value: 1 });
  },
);

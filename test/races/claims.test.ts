import t from 'tap';
import { pino } from 'pino';
import { Arena } from '../../src/races/arena.ts';
import { runTrial, runUntilItLoses } from '../../src/races/trial.ts';
import { strategies } from '../../src/strategies/index.ts';
import { POSTS, testClient, testOrm } from '../helper.ts';
import { DEMOS_SCHEMA } from '../test-server.ts';

const { orm, sessions, databaseUrl } = await testOrm(t, { POOL_MAX: '34' });
const log = pino({ level: 'silent' });
const { signal } = new AbortController();

t.test('each increment of a race waits for its turn', async (t) => {
  let turns = 0;
  const turn = async () => void (turns += 1);
  const arena = new Arena(sessions, 4, { turn });
  for (const strategy of strategies.filter(({ name }) => name === 'atomic')) {
    const trial = { strategy, workers: 4, increments: 5, signal, retryMsMax: 60_000, log };
    t.match(await runTrial(orm, arena, trial), { holds: true, final: 20 });
  }
  t.equal(turns, 20);
});

t.test('every claim holds among 2, 8 and 32 workers, each on its own backend', async (t) => {
  const arena = new Arena(sessions, 32);
  for (const [workers, increments] of [
    [2, 25],
    [8, 8],
    [32, 3],
  ] as const) {
    for (const strategy of strategies) {
      const result = await runUntilItLoses(orm, arena, { strategy, workers, increments, signal, log });
      const { timeline: _, ...figures } = result;
      t.match(figures, { holds: true, attempted: workers * increments }, `${strategy.name} among ${workers}`);
      if (result.lost > 0) t.ok(result.witness, `${strategy.name} lost likes, and has a witness`);
      t.equal(result.lost, Math.max(0, result.acknowledged - result.final));
    }
  }
});

t.test('workers without a free session wait for one, and finish', async (t) => {
  const arena = new Arena(sessions, 2);
  for (const strategy of strategies) {
    const result = await runTrial(orm, arena, { strategy, workers: 7, increments: 3, signal, log });
    t.match(result, { attempted: 21, claim: strategy.claim }, strategy.name);
    if (strategy.claim !== 'loses') t.equal(result.final, result.acknowledged);
  }
});

t.test('a lost update has a witness: two sessions with the same read and the same write', async (t) => {
  const arena = new Arena(sessions, 2);
  const unsafe = strategies.find(({ name }) => name === 'unsafe');
  if (!unsafe) throw new Error('no such strategy');
  const { witness, timeline } = await runUntilItLoses(orm, arena, {
    strategy: unsafe,
    workers: 2,
    increments: 25,
    signal,
    log,
  });
  t.ok(witness);
  const value = witness?.value ?? 0;
  t.not(witness?.workers[0], witness?.workers[1]);
  t.strictSame(
    new Set(timeline.map(({ session }) => session)),
    new Set(witness?.workers.map((worker) => `worker ${worker}`)),
  );
  t.equal(new Set(timeline.map((entry) => entry.backend_pid)).size, 2);
  const reads = timeline.filter(({ sql }) => sql?.startsWith('select'));
  t.match(reads, [{ rows: [{ like: value - 1 }] }, { rows: [{ like: value - 1 }] }]);
  const writes = timeline.filter(({ sql }) => sql?.startsWith('update'));
  t.equal(writes.filter(({ sql }) => sql?.includes(`"like" = ${value},`)).length, 2);
});

t.test(
  'a race leaves no post, no open transaction and no lock behind, also when it is stopped',
  async (t) => {
    const arena = new Arena(sessions, 8);
    const client = await testClient(t, databaseUrl);
    for (const strategy of strategies) {
      const stop = new AbortController();
      const trial = { strategy, workers: 8, increments: 1000, signal: stop.signal, log };
      let seen = 0;
      const onIncrement = () => {
        seen += 1;
        if (seen === 10) stop.abort(new Error('enough'));
      };
      await t.rejects(runTrial(orm, arena, { ...trial, onIncrement }), { message: 'enough' }, strategy.name);
    }
    const { rows } = await client.query(
      `select (select count(*)::int from ${POSTS}) as posts,
            (select count(*)::int from ${DEMOS_SCHEMA}.like_entries) as entries,
            (select count(*)::int from pg_stat_activity where datname = current_database() and state ~ 'transaction') as open,
            (select count(*)::int from pg_locks join pg_database d on d.oid = database
              where locktype = 'advisory' and datname = current_database()) as locks`,
    );
    t.strictSame(rows, [{ posts: 0, entries: 0, open: 0, locks: 0 }]);
  },
);

import { readdir } from 'node:fs/promises';
import { Pool, type PoolClient } from 'pg';
import t from 'tap';
import { bareDriver } from '../../load-tests/benchmark/orm/bare-driver.ts';
import { inTurns, speedRatio } from '../../load-tests/benchmark/orm/turns.ts';
import { strategies } from '../../src/strategies/index.ts';
import { ONLY_PROGRESS, POSTS, runProgram, testFolder, testOrm, until } from '../helper.ts';

// The time that a statement writes differs each time.
const timeless = (statements: string[]) => statements.map((sql) => sql.replace(/'\d{4}-[^']*'/, 'a time'));

t.test('the bare driver sends what MikroORM sends, statement by statement', async (t) => {
  const { orm, sessions, databaseUrl } = await testOrm(t);
  const sent: string[] = [];
  class ListeningPool extends Pool {}
  const pool = new ListeningPool({ connectionString: databaseUrl, max: 1 });
  t.teardown(() => pool.end());
  pool.on('connect', (client: PoolClient) => {
    const query = client.query.bind(client) as (sql: string, ...rest: unknown[]) => unknown;
    Object.assign(client, {
      query(sql: string, ...rest: unknown[]) {
        sent.push(sql);
        return query(sql, ...rest);
      },
    });
  });
  await orm.em.fork().execute(`insert into ${POSTS} (pk) values (1)`);
  for (const bare of bareDriver(pool)) {
    const strategy = strategies.find(({ name }) => bare.name === `${name}, bare driver`);
    if (!strategy) throw new Error(bare.name);
    const expected: string[] = [];
    const reset = `update ${POSTS} set "like" = 5 where pk = 1`;
    await orm.em.fork().execute(reset);
    await sessions.withSession(
      () => strategy.increment(orm.em.fork(), 1),
      (sql) => void expected.push(sql),
    );
    await orm.em.fork().execute(reset);
    sent.length = 0;
    await bare.increment(1);
    t.strictSame(timeless(sent), timeless(expected), bare.name);
  }
});

t.test('each runner has a turn in every round, and ratios compare turns of the same round', async (t) => {
  const { databaseUrl } = await testOrm(t);
  const pool = new Pool({ connectionString: databaseUrl });
  t.teardown(() => pool.end());
  const order: string[] = [];
  const runner = (name: string) => ({
    name,
    increment: async () => {
      if (order.at(-1) !== name) order.push(name);
      await new Promise((next) => setImmediate(next));
      return true;
    },
  });
  const turns = { rounds: 3, sliceMs: 2, workers: 2, signal: new AbortController().signal };
  const measured = await inTurns(pool, [runner('a'), runner('b')], turns);
  t.strictSame(order, ['a', 'b', 'a', 'b', 'a', 'b', 'a', 'b'], 'a warm-up and three rounds');
  const rounds = [
    { name: 'a', rounds: [1, 20, 300], perSecond: { median: 0, min: 0, max: 0 } },
    { name: 'b', rounds: [2, 20, 400], perSecond: { median: 0, min: 0, max: 0 } },
  ];
  t.equal(measured.length, 2);
  t.strictSame(speedRatio(rounds, 'a', 'b'), { median: 0.75, min: 0.5, max: 1 });
});

t.test('the command measures on a separate database and prints medians and ratios', async (t) => {
  const short = ['--rounds', '3', '--slice', '50', '--workers', '2'];
  const args = ['load-tests/benchmark/main.ts', '--only', 'orm', ...short];
  const { code, stdout, stderr } = await runProgram(t, args).ended;
  t.equal(code, 0, stderr);
  for (const { name } of strategies) t.match(stdout, new RegExp(`^${name} +[1-9]`, 'm'), name);
  t.match(
    stdout,
    /^pessimistic through MikroORM ÷ bare driver, 2 at a time +\d\.\d\d +\d\.\d\d to \d\.\d\d /m,
  );
});

t.test('the command measures increments alone and beside a race, and the race makes progress', async (t) => {
  const args = ['load-tests/benchmark/main.ts', '--only', 'demos', '--rounds', '3', '--slice', '50'];
  const { code, stdout, stderr } = await runProgram(t, args).ended;
  t.equal(code, 0, stderr);
  t.match(stdout, /^alone( +[\d.]+){3} *$/m);
  t.match(stdout, /^beside a race( +[\d.]+){3} +[1-9]/m);
  t.match(stdout, /^an increment beside a race ÷ alone, p99 +\d/m);
});

t.test(
  'the command compares the statements with the bare and the earlier ones, also over a network',
  async (t) => {
    const args = ['load-tests/benchmark/main.ts', '--only', 'statements', '--rounds', '3'];
    const { code, stdout, stderr } = await runProgram(t, args).ended;
    t.match({ code, stderr }, { code: 0, stderr: ONLY_PROGRESS });
    for (const form of ['one counter', '64 counters', 'decided, 64 on one', 'selective, 64 on 64'])
      t.match(stdout, new RegExp(`^${form} +[\\d ]+`, 'm'), form);
    t.match(stdout, /^5 +3 +\d+\.\d\d +\d+\.\d\d +\d+\.\d\d$/m, 'three writers, 5 ms away');
    t.match(stdout, /^bare upsert ÷ one counter \(time\) +\d/m);
  },
);

t.test('an interrupted benchmark removes its database', async (t) => {
  const TMPDIR = await testFolder(t, 'command');
  const { child, ended } = runProgram(t, ['load-tests/benchmark/main.ts', '--only', 'orm'], { TMPDIR });
  await until(async () => (await readdir(TMPDIR)).length > 0);
  child.kill('SIGINT');
  t.match(await ended, { code: 130, stderr: ONLY_PROGRESS });
  t.strictSame(await readdir(TMPDIR), []);
});

t.test('an invalid option is refused, with what is allowed; the exit code is 2', async (t) => {
  for (const [args, message] of [
    [['--slice', 'long'], /--slice is "long"; allowed: 50 to 10000/],
    [['--only', 'tea'], /--only is "tea"; allowed: http, orm, storage, demos, scale, peers or statements/],
    [['--connections', '8,0'], /--connections is "8,0"; allowed: 1 to 4096, with commas in between/],
  ] as const) {
    const refused = await runProgram(t, ['load-tests/benchmark/main.ts', ...args]).ended;
    t.match(refused, { code: 2, stderr: message });
  }
});

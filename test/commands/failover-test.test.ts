import t, { type Test } from 'tap';
import { runProgram } from '../helper.ts';

const failoverTest = (t: Test, args: string[], env: NodeJS.ProcessEnv = {}) =>
  runProgram(t, ['load-tests/failover-test/main.ts', ...args], env);

t.test('an invalid option is refused, with what is allowed; the exit code is 2', async (t) => {
  for (const [args, message] of [
    [['--rounds', '0'], /--rounds is "0"; allowed: 1 to 1000/],
    [['--only', 'flood'], /--only is "flood"; allowed: a part of one of these: SIGKILL of the primary/],
    [['--json', ''], /--json is ""; allowed: the name of a file/],
  ] as const) {
    const { code, stderr } = await failoverTest(t, [...args]).ended;
    t.equal(code, 2);
    t.match(stderr, message);
    t.match(stderr, /^Usage: /m);
  }
});

t.test('one line names the missing programs and how to install them', async (t) => {
  const env = { PATH: '/nowhere', POSTGRES_BIN: '/nowhere' };
  const { code, stdout, stderr } = await failoverTest(t, ['--rounds', '1'], env).ended;
  t.equal(code, 1);
  t.equal(stdout, '');
  t.match(
    stderr,
    /^failover-test: missing: etcd, patroni, patronictl, .*a PostgreSQL with pg_basebackup; on Debian: apt-get install --no-install-recommends etcd-server patroni .*postgresql-15\n$/,
  );
});

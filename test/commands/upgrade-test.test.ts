import { execFileSync } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { CHECKOUT, runProgram, testFolder, until } from '../helper.ts';

const git = (...args: string[]) => execFileSync('git', args, { cwd: CHECKOUT, encoding: 'utf8' }).trim();

/** Runs the command with a separate temporary folder, in which it must leave nothing. */
async function upgradeTest(t: Test, ...args: string[]) {
  const TMPDIR = await testFolder(t, 'command');
  const journal = join(t.testdir(), 'journal');
  const all = ['load-tests/upgrade-test/main.ts', ...args, '--journal', journal];
  return { ...runProgram(t, all, { TMPDIR }), left: () => readdir(TMPDIR) };
}

/** The commit before the last change of the tables, or, if its tables were others, the commit of that change. */
function beforeLastChange(): string {
  const changed = git('log', '-1', '--format=%H', '--', 'src/counters/tables.ts');
  const isFirst = git('ls-tree', '--name-only', `${changed}^`, 'src/counters/migration.ts') === '';
  return isFirst ? changed : `${changed}^`;
}

t.test(
  'an upgrade across the last change of the tables and back loses and doubles no increment',
  async (t) => {
    const run = await upgradeTest(t, beforeLastChange(), '--acknowledged', '300', '--seed', '7');
    const { code, stdout, stderr } = await run.ended;
    t.equal(code, 0, stderr + stdout);
    t.match(stdout, /^versions of the tables created under load: (none|\d+)$/m);
    t.match(stdout, /^0 lost, 0 doubled, 0 rules broken: \d+ increments .* seed 7;/m);
    t.strictSame(await run.left(), [], 'nothing is left behind');
  },
);

t.test(
  'a revision whose tables were others is refused, and the message says how to upgrade from it',
  async (t) => {
    const added = git('log', '--diff-filter=A', '--format=%H', '--', 'src/counters/migration.ts');
    const run = await upgradeTest(t, `${added.split('\n').at(-1)}^`);
    t.match(await run.ended, {
      code: 1,
      stderr:
        /^upgrade-test: REVISION is ".*": its counters are not in the schema .*; stop all of its replicas and start this checkout/,
    });
    t.strictSame(await run.left(), [], 'nothing is left behind');
  },
);

t.test('an interrupted upgrade test ends everything that it has started', async (t) => {
  const run = await upgradeTest(t, 'HEAD');
  await until(async () => (await run.left()).length === 2);
  run.child.kill('SIGINT');
  t.match(await run.ended, { code: 130 });
  t.strictSame(await run.left(), [], 'nothing is left behind');
});

t.test('a missing or unknown revision is refused, and the message says what is allowed', async (t) => {
  const none = await (await upgradeTest(t)).ended;
  t.match(none, { code: 2, stderr: /^one REVISION is needed: a commit, branch or tag of this repository/ });
  const missing = await (await upgradeTest(t, 'no-such-branch')).ended;
  t.match(missing, {
    code: 1,
    stderr: /^upgrade-test: REVISION is "no-such-branch": there is no such commit here; allowed: .*\n$/,
  });
});

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

t.test('an upgrade and back loses and doubles no increment', async (t) => {
  const run = await upgradeTest(t, 'HEAD', '--acknowledged', '300', '--seed', '7');
  const { code, stdout, stderr } = await run.ended;
  t.equal(code, 0, stderr + stdout);
  t.match(stdout, /^0 lost, 0 doubled, 0 rules broken: \d+ increments .* seed 7;/m);
  t.strictSame(await run.left(), [], 'nothing is left behind');
});

t.test('a version whose tables were in the schema public is refused', async (t) => {
  const first = git('log', '--diff-filter=A', '--format=%H', '--', 'src/counters/migration.ts')
    .split('\n')
    .at(-1);
  const run = await upgradeTest(t, `${first}^`);
  t.match(await run.ended, { code: 1, stderr: /its tables are in the schema public.* needs a stop/ });
  t.strictSame(await run.left(), [], 'nothing is left behind');
});

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

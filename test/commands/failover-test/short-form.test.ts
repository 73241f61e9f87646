import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { allProcesses, processesOf } from '../../../load-tests/failover-test/cluster/processes.ts';
import { faults } from '../../../load-tests/failover-test/faults/index.ts';
import { findPrograms } from '../../../load-tests/failover-test/programs.ts';
import { ONLY_PROGRESS, runProgram, testFolder, until } from '../../helper.ts';
import { slow } from '../../pace.ts';

/** False, or why the cluster cannot run here. */
const skip: false | string = await findPrograms().then(
  () => false,
  (error: Error) => error.message,
);

/** Runs the command with a separate temporary folder, in which it must leave nothing. */
async function failoverTest(t: Test, ...args: string[]) {
  const TMPDIR = await testFolder(t, 'command');
  const journal = join(t.testdir(), 'journal');
  const program = runProgram(t, ['load-tests/failover-test/main.ts', ...args, '--journal', journal], {
    TMPDIR,
  });
  const left = async () => [...(await readdir(TMPDIR)), ...processesOf(await allProcesses(), TMPDIR)];
  return { ...program, journal, left };
}

/** The first increment is acknowledged when the cluster has started. */
const acknowledged = (journal: string) =>
  until(async () => (await readFile(`${journal}.1`, 'utf8')).includes('acknowledged'), slow(120_000));

t.test('with each fault once, through PgBouncer, nothing is lost or counted twice', { skip }, async (t) => {
  const json = join(t.testdir(), 'figures.json');
  const run = await failoverTest(t, '--rounds', '1', '--way', 'pgbouncer', '--seed', '7', '--json', json);
  const { code, stdout, stderr } = await run.ended;
  t.equal(code, 0, stderr + stdout);
  const names = faults.flatMap(({ name, sequel }) => (sequel === undefined ? [name] : [name, sequel]));
  const lines = stdout.split('\n');
  for (const name of names) {
    const line = lines.find((one) => one.startsWith(name)) ?? '';
    const [times, ...figures] = line.slice(name.length).trim().split(/ {2,}/);
    t.equal(times, '1', name);
    t.strictSame(figures.slice(-2), ['0', '0'], `${name}: none lost, none doubled`);
  }
  t.match(stdout, /^0 lost, 0 doubled, 0 rules broken: \d+ increments .* seed 7;/m);
  const figures = JSON.parse(await readFile(json, 'utf8')) as { missed: unknown; violations: unknown };
  t.match(figures, { seed: 7, rounds: 1, lost: 0, doubled: 0 });
  t.strictSame([figures.missed, figures.violations], [[], []]);
  t.strictSame(await run.left(), [], 'nothing is left behind');
});

t.test(
  'the same fault loses increments under asynchronous replication, and none under strict',
  { skip },
  async (t) => {
    const run = await failoverTest(t, '--control', '--seed', '7');
    const { code, stdout, stderr } = await run.ended;
    t.equal(code, 0, stderr + stdout);
    t.match(stdout, /^✓ +asynchronous +[1-9]/m);
    t.match(stdout, /^✓ +strict synchronous +0 +0 +0$/m);
    t.strictSame(await run.left(), [], 'nothing is left behind');
  },
);

t.test('a killed failover test leaves nothing behind', { skip }, async (t) => {
  const run = await failoverTest(t, '--rounds', '1');
  await acknowledged(run.journal);
  const services = (await allProcesses()).filter(
    ({ parent, command }) => parent === run.child.pid && command.includes('src/server.ts'),
  );
  t.equal(services.length, 3);
  run.child.kill('SIGKILL');
  await run.ended;
  const running = async () =>
    (await allProcesses()).filter(({ pid }) => services.some((one) => one.pid === pid));
  await until(async () => (await run.left()).length === 0 && (await running()).length === 0);
  t.strictSame([...(await run.left()), ...(await running())], []);
});

t.test('an interrupted failover test ends everything that it has started', { skip }, async (t) => {
  const run = await failoverTest(t, '--rounds', '1');
  await acknowledged(run.journal);
  run.child.kill('SIGINT');
  t.match(await run.ended, { code: 130, stderr: ONLY_PROGRESS });
  t.strictSame(await run.left(), [], 'nothing is left behind');
});

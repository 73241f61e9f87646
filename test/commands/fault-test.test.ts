import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { FaultRow } from '../../load-tests/fault-test/report.ts';
import { ONLY_PROGRESS, runProgram, testFolder, until } from '../helper.ts';
import { slow } from '../pace.ts';

const faultTest = (t: Test, args: string[], env: NodeJS.ProcessEnv = {}) =>
  runProgram(t, ['load-tests/fault-test/main.ts', ...args], env);

t.test('a run prints a table and a verdict, and writes a journal that can be checked again', async (t) => {
  const TMPDIR = await testFolder(t, 'command');
  const journal = join(t.testdir(), 'journal');
  const args = [
    '--acknowledged',
    '200',
    '--faults',
    '0',
    '--replicas',
    '1',
    '--seed',
    '7',
    '--journal',
    journal,
  ];
  const { code, stdout, stderr } = await faultTest(t, args, { TMPDIR }).ended;
  t.equal(code, 0, stderr || stdout);
  // On a busy machine a client may disconnect before its answer; nothing is lost or doubled.
  t.match(stdout, /^none +0 +\d+ +\d+ +\d+ +\d+ +0 +0 /m);
  t.match(stdout, /every rule holds: \d+ requests to 1 replica in \d+ s, seed 7/);
  t.strictSame(await readdir(TMPDIR), [], 'nothing is left behind');

  t.match(await faultTest(t, ['--check', journal]).ended, { code: 0, stdout: /, 0 rules broken/ });
  const text = await readFile(journal, 'utf8');
  // As if the database did not have one of the acknowledged increments.
  const keyed = new Set([...text.matchAll(/^> (\d+) single /gm)].map(([, id]) => id));
  const acknowledged = [...text.matchAll(/^< (\d+) acknowledged /gm)].map(([, id = '']) => id);
  const id = acknowledged.find((one) => keyed.has(one));
  await writeFile(journal, text.replaceAll(new RegExp(`^= ${id} .*\\n`, 'gm'), ''));
  const broken = await faultTest(t, ['--check', journal]).ended;
  t.match(broken, {
    code: 1,
    stdout: /^BROKEN: every acknowledged request is counted: 1 request, for example /,
  });
});

t.test('--json prints the same figures for a program, and the rows add up to the total', async (t) => {
  const journal = join(t.testdir(), 'journal');
  const args = ['--acknowledged', '400', '--faults', '2', '--seed', '3', '--journal', journal, '--json'];
  const { code, stdout, stderr } = await faultTest(t, args).ended;
  t.equal(code, 0, stderr || stdout);
  t.match(stderr, ONLY_PROGRESS);
  const { faults, total, ...others } = JSON.parse(stdout) as {
    faults: FaultRow[];
    total: FaultRow;
    requests: number;
    missed: unknown;
    violations: unknown;
  };
  t.match(others, { holds: true, seed: 3, replicas: 3, journal });
  t.strictSame([others.missed, others.violations], [[], []]);
  t.equal(faults[0]?.fault, 'none');
  for (const name of ['times', 'acknowledged', 'refused', 'unknown', 'resolved', 'lost', 'doubled'] as const)
    t.equal(
      total[name],
      faults.map((row) => row[name]).reduce((sum, count) => sum + count),
      name,
    );
  t.match(total, { times: 2, lost: 0, doubled: 0 });
  t.ok(total.acknowledged >= 400);
  t.equal(total.gapMs, Math.max(...faults.map(({ gapMs }) => gapMs)));

  const checked = await faultTest(t, ['--check', journal, '--json']).ended;
  t.equal(checked.code, 0);
  t.strictSame(JSON.parse(checked.stdout), {
    holds: true,
    journal,
    requests: others.requests,
    complete: true,
    violations: [],
  });
});

for (const mode of [[], ['--tickets', '50']]) {
  t.test(`an interrupted run ends everything that it has started ${mode.join(' ')}`, async (t) => {
    const TMPDIR = await testFolder(t, 'command');
    const journal = join(t.testdir(), 'journal');
    const args = ['--replicas', '1', '--journal', journal, ...mode];
    const { child, ended } = faultTest(t, args, { TMPDIR });
    await until(async () => (await readFile(journal, 'utf8')).includes('acknowledged'));
    const interruptedAt = performance.now();
    child.kill('SIGINT');
    t.match(await ended, { code: 130, stderr: ONLY_PROGRESS });
    t.ok(performance.now() - interruptedAt < slow(15_000), 'it ends soon');
    t.strictSame(await readdir(TMPDIR), [], 'nothing is left behind');
    t.match(await faultTest(t, ['--check', journal]).ended, {
      code: 1,
      stdout: /^the journal is incomplete/,
    });
  });
}

t.test('an invalid option is refused, with what is allowed; the exit code is 2', async (t) => {
  for (const [args, message] of [
    [['--faults', 'many'], /--faults is "many"; allowed: 0 to 10000/],
    [['--acknowledged', '1'], /--acknowledged is "1"; allowed: 100 to 5000000/],
    [['--journal', ''], /--journal is ""; allowed: the name of a file/],
    [['--gently'], /'--gently'/],
  ] as const) {
    const { code, stderr } = await faultTest(t, [...args]).ended;
    t.equal(code, 2);
    t.match(stderr, message);
    t.match(stderr, /^Usage: /m);
  }
  t.match(await faultTest(t, ['--check', join(t.testdir(), 'none')]).ended, { code: 1, stderr: /ENOENT/ });
});

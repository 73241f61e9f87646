import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import type { ScaleResult } from '../../load-tests/benchmark/scale/scale-benchmark.ts';
import { groups } from '../../load-tests/benchmark/scale/situations.ts';
import type { ScaleTurn } from '../../load-tests/benchmark/scale/turn.ts';
import { runProgram, testFolder } from '../helper.ts';
import { noPgBouncer } from '../pgbouncer.ts';

const median = (rounds: readonly ScaleTurn[], of: (turn: ScaleTurn) => number): number =>
  rounds.map(of).toSorted((a, b) => a - b)[rounds.length >> 1] ?? Number.NaN;

t.test('the benchmark measures and prints how cost grows, and leaves nothing behind', async (t) => {
  const folder = await testFolder(t, 'figures');
  const TMPDIR = await testFolder(t, 'command');
  const json = join(folder, 'scale.json');
  const args = ['load-tests/benchmark/main.ts', '--only', 'scale', '--rounds', '3', '--slice', '50'];
  const { code, stdout, stderr } = await runProgram(t, [...args, '--json', json], { TMPDIR }).ended;
  t.equal(code, 0, stderr);
  const { scale } = JSON.parse(await readFile(json, 'utf8')) as { scale: ScaleResult };
  const expected = groups.filter(
    ({ situations }) => !noPgBouncer || situations.every(({ way }) => way !== 'pgbouncer'),
  );
  t.strictSame(
    scale.groups.map(({ title, situations }) => [title, situations.map(({ name }) => name)]),
    expected.map(({ title, situations }) => [title, situations.map(({ name }) => name)]),
  );
  for (const { title, situations } of expected) {
    t.match(stdout, new RegExp(`^${title} +increments /s`, 'm'), title);
    for (const { name } of situations) t.match(stdout, new RegExp(`^${name} +[\\d ]+`, 'm'), name);
  }
  t.match(stdout, /^a key takes \d{3} bytes with its indexes/m);
  const of = (title: string, name: string) =>
    scale.groups
      .find((group) => group.title === title)
      ?.situations.find((situation) => situation.name === name)?.rounds ?? [];

  const perCommit = (callers: string) => median(of('callers', callers), (turn) => turn.incrementsPerCommit);
  const serverUs = scale.groups
    .flatMap(({ situations }) => situations.flatMap(({ rounds }) => rounds))
    .map((turn) => turn.serverUs);
  t.ok(
    serverUs.every((us) => us === null || us > 0),
    'a closed connection does not reduce the server time',
  );
  t.ok(perCommit('1') < 1.1, 'each increment of a single caller has its own commit');
  t.ok(perCommit('128') > 20, 'many callers share commits');
  const wal = (title: string, name: string) => median(of(title, name), (turn) => turn.walBytesPerIncrement);
  t.ok(wal('with a key, 128 callers', 'all') > 200, 'each key is written to the log');
  t.ok(
    wal('counters, 128 callers', '10,000') > 5 * wal('counters, 128 callers', '1'),
    'each counter is written to the log',
  );
  const wait = (name: string) => median(of('a standby at a distance', name), (turn) => turn.p50Ms);
  t.ok(wait('50 ms, 128 callers') >= 50, 'a commit waits for the round trip to the standby');
  t.ok(wait('0 ms, 128 callers') < 50);
  t.strictSame(await readdir(TMPDIR), []);
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t, { type Test } from 'tap';
import { withoutLeftovers } from '../../load-tests/failover-test/cluster/leftovers.ts';
import { allProcesses, killAll, processesOf } from '../../load-tests/failover-test/cluster/processes.ts';
import { CHECKOUT, until } from '../helper.ts';

const left = async (folder: string) => processesOf(await allProcesses(), folder);

/** A folder, and a background process whose command line names it, with child processes that do not name it. */
function folderInUse(t: Test): string {
  const folder = join(t.testdir(), 'run');
  mkdirSync(folder);
  const script = 'sleep 600 & sleep 600 & wait';
  spawn('/bin/sh', ['-c', script, `${folder}/program`], { detached: true, stdio: 'ignore' }).unref();
  t.teardown(() => killAll(() => left(folder)));
  return folder;
}

t.test('when the process is killed, its child processes end and its folder is removed', async (t) => {
  const folder = folderInUse(t);
  await until(async () => (await left(folder)).length === 3);
  const { href } = pathToFileURL(join(CHECKOUT, 'load-tests/failover-test/cluster/leftovers.ts'));
  const program = `
    import { withoutLeftovers } from '${href}';
    await withoutLeftovers(process.argv[1], async () => {
      process.stdout.write('at work');
      await new Promise((end) => setTimeout(end, 600_000));
    });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await until(async () => (await left(folder)).length === 0 && !existsSync(folder));
  t.notOk(existsSync(folder));
});

t.test('the result or the error of the work is passed on', async (t) => {
  const folder = join(t.testdir(), 'run');
  t.equal(await withoutLeftovers(folder, async () => 7), 7);
  const failing = withoutLeftovers(folder, () => Promise.reject(new Error('the work failed')));
  await t.rejects(failing, { message: 'the work failed' });
});

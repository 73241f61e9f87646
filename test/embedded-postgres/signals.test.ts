import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { runningServer } from '../../src/embedded-postgres/server.ts';
import { endInEmergency } from '../emergency.ts';
import { CHECKOUT, testFolder, until } from '../helper.ts';

/** A service with an embedded PostgreSQL, in a process group of its own that can be signalled as a whole. */
async function groupedService(t: Test) {
  const folder = await testFolder(t, 'group');
  const cluster = join(folder, 'data/cluster');
  const { PATH, NODE_COMPILE_CACHE } = process.env;
  const child = spawn(process.execPath, [join(CHECKOUT, 'src/server.ts')], {
    cwd: folder,
    env: { PATH, NODE_COMPILE_CACHE, PORT: '0', DATA_DIR: join(folder, 'data') },
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const { pid = 0, stdout } = child;
  t.teardown(async () => {
    child.kill('SIGKILL');
    const left = await runningServer(cluster);
    if (left) process.kill(left.pid, 'SIGQUIT');
  });
  endInEmergency(t, child);
  const ended = once(child, 'close');
  let said = '';
  stdout.on('data', (part: Buffer) => (said += part.toString()));
  const says = async (text: string) => {
    while (!said.includes(text)) await once(stdout, 'data');
  };
  return { cluster, ended, says, signalAll: () => process.kill(-pid, 'SIGTERM') };
}

t.test('SIGTERM to the whole group, twice: the embedded PostgreSQL is stopped, exit code 0', async (t) => {
  const { cluster, ended, says, signalAll } = await groupedService(t);
  await says('ready: ');
  signalAll();
  await says('closing');
  signalAll();
  t.strictSame(await ended, [0, null]);
  t.equal(await runningServer(cluster), undefined);
});

t.test('SIGTERM to the whole group while a database is created leaves nothing behind', async (t) => {
  const { cluster, ended, says, signalAll } = await groupedService(t);
  await says('creating a database');
  signalAll();
  t.strictSame(await ended, [0, null]);
  const left = (await readdir(dirname(cluster))).filter((name) => name.startsWith('cluster'));
  t.strictSame(left, [], 'not even the database, which was not waited for');
});

t.test('SIGTERM while the embedded PostgreSQL takes long to start leaves none behind', async (t) => {
  const { cluster, ended, signalAll } = await groupedService(t);
  await until(async () => (await runningServer(cluster)) !== undefined);
  const { pid = 0 } = (await runningServer(cluster)) ?? {};
  process.kill(pid, 'SIGSTOP');
  signalAll();
  // As long as it is not up, it cannot be stopped either.
  t.equal(await Promise.race([ended, setTimeout(2500, 'waits for it')]), 'waits for it');
  process.kill(pid, 'SIGCONT');
  t.strictSame(await ended, [0, null]);
  t.equal(await runningServer(cluster), undefined);
});

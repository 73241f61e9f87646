import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { allProcesses } from '../../load-tests/failover-test/cluster/processes.ts';
import { runningServer } from '../../src/embedded-postgres/server.ts';
import { endInEmergency } from '../emergency.ts';
import { CHECKOUT, testFolder, until } from '../helper.ts';

/** A service with an embedded PostgreSQL, in a separate process group that can be signalled as a whole. */
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
  let output = '';
  stdout.on('data', (part: Buffer) => (output += part.toString()));
  const untilOutput = async (text: string) => {
    while (!output.includes(text)) await once(stdout, 'data');
  };
  return { cluster, ended, untilOutput, signalAll: () => process.kill(-pid, 'SIGTERM') };
}

t.test('two SIGTERM signals to the whole group stop the embedded PostgreSQL, exit code 0', async (t) => {
  const { cluster, ended, untilOutput, signalAll } = await groupedService(t);
  await untilOutput('ready: ');
  signalAll();
  await untilOutput('closing');
  signalAll();
  t.strictSame(await ended, [0, null]);
  t.equal(await runningServer(cluster), undefined);
});

t.test('SIGTERM to the whole group while a database is created leaves nothing behind', async (t) => {
  const { cluster, ended, untilOutput, signalAll } = await groupedService(t);
  await untilOutput('creating a database');
  signalAll();
  t.strictSame(await ended, [0, null]);
  const left = (await readdir(dirname(cluster))).filter((name) => name.startsWith('cluster'));
  t.strictSame(left, [], 'the unfinished database is removed');
});

t.test('SIGTERM while the embedded PostgreSQL is slow to start leaves no server behind', async (t) => {
  const { cluster, ended, signalAll } = await groupedService(t);
  await until(async () => (await runningServer(cluster)) !== undefined);
  const { pid = 0 } = (await runningServer(cluster)) ?? {};
  process.kill(pid, 'SIGSTOP');
  signalAll();
  // The stopped process cannot end before it continues.
  const stop = `pg_ctl stop --pgdata=${cluster} `;
  try {
    await until(async () => (await allProcesses()).some(({ command }) => command.includes(stop)));
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  t.strictSame(await ended, [0, null]);
  t.equal(await runningServer(cluster), undefined);
});

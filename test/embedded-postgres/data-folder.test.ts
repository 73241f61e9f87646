import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { runProgram, startService, testFolder, until } from '../helper.ts';

t.test('the next start removes the unfinished files of an interrupted start', async (t) => {
  const own = join(await testFolder(t, 'data'), 'interrupted');
  const interrupted = runProgram(t, ['src/server.ts'], { DATA_DIR: own, PORT: '0' });
  const unfinished = async () => (await readdir(own)).filter((name) => name.includes('.new-'));
  await until(async () => (await unfinished()).length === 2);
  interrupted.child.kill('SIGKILL');
  await interrupted.ended;
  t.strictSame(await unfinished(), [
    `cluster.new-${interrupted.child.pid}`,
    `cluster.new-${interrupted.child.pid}.password`,
  ]);
  const inUse = `password.new-${process.pid}`;
  await writeFile(join(own, inUse), '');
  const next = await startService(t, { DATA_DIR: own });
  next.child.kill('SIGTERM');
  t.match(await next.ended, { code: 0 });
  t.strictSame(await unfinished(), [inUse], 'the unfinished file of a running process is kept');
});

t.test('a port in use is reported before anything is created', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  t.teardown(() => other.close());
  await once(other, 'listening');
  const own = join(await testFolder(t, 'data'), 'no port');
  const { port } = other.address() as AddressInfo;
  const { code, stderr } = await runProgram(t, ['src/server.ts'], { DATA_DIR: own, PORT: String(port) })
    .ended;
  t.equal(code, 1);
  t.match(stderr, /^cannot listen \(HOST, PORT\): .*EADDRINUSE.*\n$/);
  t.notOk(existsSync(own));
});

t.test('a folder that cannot be created is reported in one clear line', async (t) => {
  const { uid } = await stat('/dev/null');
  // Root may use the folders of all users: their owner is not the reason then.
  const owner = [0, uid].includes(process.getuid?.() ?? uid)
    ? ''
    : `, which belongs to another user \\(uid ${uid}\\),`;
  for (const [DATA_DIR, ownedBy] of [
    ['/dev/null/data', ''],
    ['/dev/null', owner],
    ['/proc/data', ''],
  ] as const) {
    const { code, stderr } = await runProgram(t, ['src/server.ts'], { DATA_DIR, PORT: '0' }).ended;
    t.equal(code, 1);
    t.match(
      stderr,
      new RegExp(`^DATA_DIR ${DATA_DIR}${ownedBy} cannot be used: .*; allowed: a folder that .*\n$`),
    );
  }
});

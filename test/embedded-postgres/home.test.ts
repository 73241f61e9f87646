import { execFileSync, spawnSync } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import {
  findHome,
  findPrograms,
  reachablePrograms,
  serverAccount,
} from '../../src/embedded-postgres/home.ts';
import type { Account } from '../../src/embedded-postgres/server.ts';

const HOME = import.meta.resolve('../../src/embedded-postgres/home.ts');
const EMBEDDED = import.meta.resolve('../../src/embedded-postgres/embedded.ts');

async function folder(t: Test, mode: number): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'safe-counters-home-'));
  await chmod(path, mode);
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** The output of a start in the folder as another user. Modules load first: that user may not have access to them. */
function outputAs({ uid, gid }: Account, path: string): string {
  const script = `
    const { findPrograms } = await import(${JSON.stringify(HOME)});
    const { startEmbedded } = await import(${JSON.stringify(EMBEDDED)});
    await findPrograms();
    process.setgroups([]);
    process.setgid(${gid});
    process.setuid(${uid});
    const silent = { info() {}, warn() {} };
    await startEmbedded(${JSON.stringify(path)}, 10, silent).catch((error) => console.log(String(error)));
    process.kill(process.pid, 'SIGKILL');`;
  // The process ends by a signal: at a normal exit, tap would write a file where this user has no permission.
  return spawnSync(process.execPath, ['--input-type=module', '--eval', script]).stdout.toString();
}

async function asOrdinaryUser(t: Test): Promise<void> {
  const readOnly = await folder(t, 0o555);
  await t.rejects(findHome(readOnly), {
    name: 'StartupError',
    message: /^DATA_DIR .* cannot be used: EACCES.*; allowed: a folder that this user \(uid \d+\) may read/,
  });
  await t.rejects(findHome('/'), {
    name: 'StartupError',
    message: /^DATA_DIR \/, which belongs .* \(uid 0\), cannot be used: /,
  });
  const home = await findHome(join(await folder(t, 0o700), 'data'));
  t.equal(home.account, undefined);
  t.equal(home.bin, await findPrograms());
}

async function asRoot(t: Test): Promise<void> {
  await t.test('the server does not run as root', async (t) => {
    const home = await findHome(join(await folder(t, 0o755), 'data'));
    t.not(home.account?.uid, 0);
  });

  await t.test('a data folder that the server account cannot enter is reported in one line', async (t) => {
    const closed = join(await folder(t, 0o700), 'data');
    await t.rejects(findHome(closed), {
      name: 'StartupError',
      message: /^DATA_DIR .* cannot be entered by uid \d+/,
    });
  });

  await t.test('a folder that belongs to root is reported to another user in one clear line', async (t) => {
    const path = await folder(t, 0o755);
    const account = serverAccount();
    t.match(
      outputAs(account, path),
      new RegExp(
        `^StartupError: DATA_DIR ${path}, which belongs to another user \\(uid 0\\), cannot be used: EACCES.*; allowed: .*\n$`,
      ),
    );
    await chmod(path, 0o777);
    await writeFile(join(path, 'password'), 'secret', { mode: 0o600 });
    t.match(outputAs(account, path), /^StartupError: DATA_DIR .*: EACCES.*password.*; allowed: .*\n$/);
    await mkdir(join(path, 'cluster'), { mode: 0o700 });
    t.match(
      outputAs(account, path),
      /^StartupError: DATA_DIR .* contains the database of another user \(uid 0\); allowed: .*\n$/,
    );
  });

  await t.test('a data folder on a read-only file system is reported in one clear line', async (t) => {
    const path = await folder(t, 0o755);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', path]);
    t.teardown(() => execFileSync('umount', [path]));
    await t.rejects(findHome(path), {
      name: 'StartupError',
      message: /^DATA_DIR .* cannot be used: EROFS.*; allowed: .*$/,
    });
  });

  await t.test('programs that the server account cannot reach are copied, and the copy works', async (t) => {
    const closed = await folder(t, 0o700);
    const source = join(closed, 'package');
    await cp(dirname(dirname(await findPrograms())), source, { recursive: true, verbatimSymlinks: true });
    const open = await folder(t, 0o755);
    const account = serverAccount();
    const first = await reachablePrograms(join(source, 'native/bin'), account, open);
    t.ok(first.bin.startsWith(open), first.bin);
    t.match(
      execFileSync(join(first.bin, 'initdb'), ['--version'], { ...account, cwd: '/' }).toString(),
      /18\./,
    );
    t.strictSame(await reachablePrograms(join(source, 'native/bin'), account, open), first, 'copied once');
  });
}

// Only one of them can run at a time: for both, run the tests as root and as an ordinary user.
t.test(
  process.getuid?.() === 0 ? 'as root' : 'as an ordinary user, the server runs under the same account',
  process.getuid?.() === 0 ? asRoot : asOrdinaryUser,
);

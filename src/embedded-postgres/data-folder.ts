import { access, chmod, constants, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf, messageOf } from '../errors/caught.ts';
import { StartupError } from '../errors/startup-error.ts';
import { isAlive } from './server.ts';

const { R_OK, W_OK, X_OK } = constants;

/** Files and folders are created under such a name, with the id of the process, and renamed when they are complete. */
const UNFINISHED = /\.new-(\d+)(\.password)?$/;

/**
 * Creates the folder if it is missing, and checks that this process may use it.
 *
 * @param traversable whether every user may traverse, but not list, the created folders, regardless of the umask
 * @throws {StartupError} when it cannot be created or used
 */
export async function makeDataFolder(folder: string, traversable: boolean): Promise<void> {
  try {
    const made = await makeFolders(folder);
    if (traversable) for (const path of made) await chmod(path, 0o711);
    await readdir(folder);
    // A read-only file system refuses even root.
    await access(folder, R_OK | W_OK | X_OK);
  } catch (error) {
    throw await unusable(folder, error);
  }
}

/**
 * Removes the unfinished files of processes that have ended: of an interrupted initdb, or a password that was not put in
 * place. What cannot be removed stays; it does no harm.
 */
export async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const pid = Number(UNFINISHED.exec(name)?.[1] ?? Number.NaN);
    // With our own id it belongs to an earlier process, since we have created nothing yet: in a container it is always 1.
    if (Number.isNaN(pid) || (pid !== process.pid && isAlive(pid))) continue;
    // An initdb that has outlived its service may still be writing there; it ends when its files are gone.
    await rm(join(folder, name), { recursive: true, force: true, maxRetries: 5 }).catch(() => {});
  }
}

/** Turns an error of the file system into one line about DATA_DIR; returns any other error unchanged. */
export async function unusable(folder: string, error: unknown): Promise<unknown> {
  if (typeof error !== 'object' || error === null || !('syscall' in error && 'path' in error)) return error;
  const uid = process.getuid?.();
  const owner = await stat(folder).catch(() => undefined);
  const foreign =
    owner && uid !== 0 && owner.uid !== uid ? `, which belongs to another user (uid ${owner.uid}),` : '';
  return new StartupError(
    `DATA_DIR ${folder}${foreign} cannot be used: ${messageOf(error)}; ` +
      `allowed: a folder that this user${uid === undefined ? '' : ` (uid ${uid})`} may read and write, or one that can be created`,
    { cause: error },
  );
}

/**
 * Like `mkdir -p`. By hand, since Node's own (24) loops for ever if the parent exists but the folder cannot be created,
 * as below /proc.
 *
 * @returns the created folders
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

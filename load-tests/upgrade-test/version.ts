import { execFile } from 'node:child_process';
import { readFile, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { progress } from '../../src/command-line/progress.ts';
import { messageOf } from '../../src/errors/caught.ts';
import { StartupError } from '../../src/errors/startup-error.ts';
import { ownFolder } from '../shared/own-folder.ts';

const run = promisify(execFile);

const CHECKOUT = join(import.meta.dirname, '../..');

/** The time limit for npm, in milliseconds. */
const INSTALL_MS_MAX = 300_000;

/** A version of the service that can be started. */
export interface Version {
  /** The abbreviated hash of its commit, or another name for the report. */
  name: string;
  /** The file that starts it. */
  program: string;
}

export const thisCheckout: Version = { name: 'this checkout', program: 'src/server.ts' };

/**
 * Runs `work` with the files of another commit in a temporary folder, which is removed afterwards.
 *
 * @param signal aborted when the command is interrupted
 * @throws {StartupError} if the commit does not exist, or its service cannot run beside this one
 */
export async function withVersion<T>(
  revision: string,
  signal: AbortSignal,
  work: (version: Version) => Promise<T>,
): Promise<T> {
  const name = await abbreviated(revision);
  await assertBesideThis(revision, name);
  const folder = await ownFolder('upgrade');
  try {
    const archive = join(folder, 'archive.tar');
    await git('archive', `--output=${archive}`, name);
    await run('tar', ['-xf', archive, '-C', folder]);
    await rm(archive);
    await addPackages(folder, signal);
    return await work({ name, program: join(folder, 'src/server.ts') });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A file of every version whose counters are in a schema of their own. Earlier ones have other tables. */
const FIRST_FILE = 'src/counters/migration.ts';

async function assertBesideThis(revision: string, name: string): Promise<void> {
  if ((await git('ls-tree', '--name-only', name, FIRST_FILE)) !== '') return;
  throw new StartupError(
    `REVISION is "${revision}": its counters are not in the schema safe_counters yet, so it cannot run beside this checkout; ` +
      'stop all of its replicas and start this checkout, which takes over its data (docs/backup.md, "Upgrade the service"); ' +
      `allowed: a commit with ${FIRST_FILE}`,
  );
}

/** Links the packages of this checkout if the dependencies are the same; otherwise installs those of the lock file. */
async function addPackages(folder: string, signal: AbortSignal): Promise<void> {
  const [its, ours] = await Promise.all([folder, CHECKOUT].map(dependenciesOf));
  if (its === ours) return symlink(join(CHECKOUT, 'node_modules'), join(folder, 'node_modules'));
  progress('npm ci for the other version');
  const args = ['ci', '--omit=dev', '--omit=optional', '--no-audit', '--no-fund', '--prefer-offline'];
  await run('npm', args, { cwd: folder, signal, timeout: INSTALL_MS_MAX });
}

async function dependenciesOf(folder: string): Promise<string> {
  const { dependencies } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  return JSON.stringify(dependencies);
}

async function abbreviated(revision: string): Promise<string> {
  try {
    return await git(
      'rev-parse',
      '--short',
      '--verify',
      '--quiet',
      '--end-of-options',
      `${revision}^{commit}`,
    );
  } catch (error) {
    const why = messageOf(error).includes('ENOENT') ? 'git is not installed' : 'there is no such commit here';
    throw new StartupError(
      `REVISION is "${revision}": ${why}; allowed: a commit, branch or tag of this repository, such as HEAD~20`,
      { cause: error },
    );
  }
}

async function git(...args: string[]): Promise<string> {
  const { stdout } = await run('git', ['-C', CHECKOUT, ...args]);
  return stdout.trim();
}

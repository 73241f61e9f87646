import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { codeOf } from '../errors/caught.ts';
import { StartupError } from '../errors/startup-error.ts';

/** The operating-system user that runs PostgreSQL if the service runs as root, since PostgreSQL refuses to. */
export interface Account {
  uid: number;
  gid: number;
}

export interface ServerPrograms {
  /** The folder of initdb, pg_ctl and postgres. */
  bin: string;
  /** Undefined: the current user. */
  account?: Account | undefined;
}

export interface RunningServer {
  pid: number;
  port: number;
}

/** The superuser of a cluster made by `createCluster`. */
export const SUPERUSER = 'postgres';

/**
 * Creates a new cluster at `folder`. It appears there complete or not at all, so that neither a crash nor a second
 * process leaves half a cluster behind.
 *
 * @throws {StartupError} with the first lines of initdb's error output
 */
export async function createCluster(
  { bin, account }: ServerPrograms,
  folder: string,
  password: string,
  signal?: AbortSignal,
): Promise<void> {
  const unfinished = `${folder}.new-${process.pid}`;
  const passwordFile = `${unfinished}.password`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  await writeFile(passwordFile, password, { mode: 0o600 });
  try {
    if (account) {
      await own(unfinished, account);
      await own(passwordFile, account);
    }
    const args = [
      `--pgdata=${unfinished}`,
      `--username=${SUPERUSER}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--locale=C',
      '--no-instructions',
    ];
    await program(join(bin, 'initdb'), account, args, signal);
    await rename(unfinished, folder);
  } catch (error) {
    // Another process has created the cluster in the meantime: it is used instead.
    if (['ENOTEMPTY', 'EEXIST'].includes(codeOf(error) ?? '')) return;
    const { stderr } = error as { stderr?: string };
    if (stderr === undefined) throw error;
    const lines = stderr.trim().split('\n').slice(0, 3);
    throw new StartupError(`PostgreSQL cannot create ${folder}: ${lines.join(' | ')}`, { cause: error });
  } finally {
    await rm(unfinished, { recursive: true, force: true });
    await rm(passwordFile, { force: true });
  }
}

/**
 * Starts a server on the cluster and waits until it answers. It outlives this process: `stopServer` ends it.
 *
 * @throws {StartupError} with the last lines of its log
 */
export async function startServer(
  { bin, account }: ServerPrograms,
  folder: string,
  options: { port: number; logFile: string; settings?: Record<string, string> },
): Promise<void> {
  const settings = {
    port: String(options.port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    timezone: 'UTC',
    log_timezone: 'UTC',
    // Errors of statements are reported to their clients; the log is for events of the server.
    log_min_messages: 'fatal',
    ...options.settings,
  };
  const words = Object.entries(settings).map(([name, value]) => `-c ${name}='${value}'`);
  const log = await open(options.logFile, 'w', 0o644);
  if (account) await log.chown(account.uid, account.gid);
  await log.close();
  try {
    await program(join(bin, 'pg_ctl'), account, [
      'start',
      `--pgdata=${folder}`,
      `--log=${options.logFile}`,
      '--wait',
      '--timeout=60',
      `--options=${words.join(' ')}`,
    ]);
  } catch (error) {
    throw new StartupError(startFailure(folder, await readFile(options.logFile, 'utf8')), { cause: error });
  }
}

/** The reason in one line; for files of another major version, also what to do. */
function startFailure(folder: string, log: string): string {
  const [, old, now] =
    /initialized by PostgreSQL version (\S+), which is not compatible with this version (\d+)/.exec(log) ??
    [];
  if (old !== undefined) {
    return (
      `the database in ${folder} was made by PostgreSQL ${old} and cannot be read by PostgreSQL ${now}; nothing was changed. ` +
      'Move the data as docs/backup.md describes (Upgrade the embedded PostgreSQL), start the release of this service that created it, ' +
      'or set DATA_DIR to another folder'
    );
  }
  return `PostgreSQL does not start in ${folder}: ${log.trim().split('\n').slice(-3).join(' | ')}`;
}

/** Stops the cluster's server, if there is one: open transactions are rolled back, committed data is kept. */
export async function stopServer({ bin, account }: ServerPrograms, folder: string): Promise<void> {
  const stop = (mode: string) =>
    program(join(bin, 'pg_ctl'), account, [
      'stop',
      `--pgdata=${folder}`,
      '--wait',
      '--timeout=3',
      `--mode=${mode}`,
    ]);
  if (!(await runningServer(folder))) return;
  await stop('fast').catch(() => stop('immediate'));
}

/** The running server according to the cluster's pid file; undefined if there is no file or no such process. */
export async function runningServer(folder: string): Promise<RunningServer | undefined> {
  const lines = await readFile(join(folder, 'postmaster.pid'), 'utf8').then(
    (text) => text.split('\n'),
    () => [],
  );
  const pid = Number(lines[0]);
  const port = Number(lines[3]);
  return pid > 0 && port > 0 && isAlive(pid) ? { pid, port } : undefined;
}

/** The owner of the cluster; undefined if there is no cluster. */
export async function clusterOwner(folder: string): Promise<Account | undefined> {
  try {
    const { uid, gid } = await stat(join(folder, 'PG_VERSION'));
    return { uid, gid };
  } catch (error) {
    // The folder is closed to this user, but its own owner can still be read.
    return codeOf(error) === 'EACCES' ? stat(folder) : undefined;
  }
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Whether a process with this id exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

async function own(path: string, { uid, gid }: Account): Promise<void> {
  const handle = await open(path);
  await handle.chown(uid, gid);
  await handle.close();
}

/**
 * Runs one of the programs to its end. It gets its own process group: a terminal or supervisor signals our whole group
 * when the service is to end, and a program that is starting or stopping the server must then finish.
 */
async function program(
  path: string,
  account: Account | undefined,
  args: string[],
  signal?: AbortSignal,
): Promise<void> {
  signal?.throwIfAborted();
  // Variables of libpq in our environment (PGDATA, PGPORT, …) are not meant for this server.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PG')));
  const child = spawn(path, args, {
    ...account,
    cwd: '/',
    env: { ...env, LC_ALL: 'C' },
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errorOutput = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    errorOutput = (errorOutput + part).slice(-ERROR_OUTPUT_MAX);
  });
  // Not spawn's own `signal`, which does not wait for the end.
  const kill = () => void child.kill();
  signal?.addEventListener('abort', kill);
  try {
    const [code, killedBy] = (await once(child, 'close')) as [number | null, string | null];
    if (code !== 0) throw new Error(`${path} ended with ${code ?? killedBy}: ${errorOutput.trim()}`);
  } finally {
    signal?.removeEventListener('abort', kill);
  }
}

/** The number of characters of a program's error output that are kept for the error message. */
const ERROR_OUTPUT_MAX = 4000;

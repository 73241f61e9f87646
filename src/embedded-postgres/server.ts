import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { codeOf } from '../errors/caught.ts';
import { StartupError } from '../errors/startup-error.ts';

/** The user of the operating system to run PostgreSQL as, for a service that runs as root: PostgreSQL refuses to. */
export interface Account {
  uid: number;
  gid: number;
}

export interface ServerPrograms {
  /** The folder of initdb, pg_ctl and postgres. */
  bin: string;
  /** Undefined: as the user that we are. */
  account?: Account | undefined;
}

export interface RunningServer {
  pid: number;
  port: number;
}

/** The superuser of a cluster made by `createCluster`. */
export const SUPERUSER = 'postgres';

/**
 * Makes a new cluster at `folder`. It appears there complete or not at all, so neither a crash half-way nor two
 * processes at once leave half a cluster behind.
 *
 * @throws {StartupError} with the first lines of what initdb says
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
    // Somebody else's cluster is as good as ours would have been.
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
    // A refused or timed-out statement is for the one who sent it; the log is for what happens to the server.
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
    const lines = (await readFile(options.logFile, 'utf8')).trim().split('\n').slice(-3);
    throw new StartupError(`PostgreSQL does not start in ${folder}: ${lines.join(' | ')}`, { cause: error });
  }
}

/** Stops the server of the cluster, if there is one: open transactions are rolled back, nothing committed is lost. */
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

/** What the cluster's own pid file says of a server on it; undefined when there is no file or no such process. */
export async function runningServer(folder: string): Promise<RunningServer | undefined> {
  const lines = await readFile(join(folder, 'postmaster.pid'), 'utf8').then(
    (text) => text.split('\n'),
    () => [],
  );
  const pid = Number(lines[0]);
  const port = Number(lines[3]);
  return pid > 0 && port > 0 && isAlive(pid) ? { pid, port } : undefined;
}

/** Whether there is a cluster, and whose it is. */
export async function clusterOwner(folder: string): Promise<Account | undefined> {
  try {
    const { uid, gid } = await stat(join(folder, 'PG_VERSION'));
    return { uid, gid };
  } catch (error) {
    // Closed to this user: the folder itself still tells whose it is.
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

/** Whether there is a process of this id. */
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
 * Runs one of the programs to its end. In a process group of its own: a terminal or a supervisor signals all of our
 * group when the service is to end, and what starts or stops the server must come to its end then.
 */
async function program(
  path: string,
  account: Account | undefined,
  args: string[],
  signal?: AbortSignal,
): Promise<void> {
  signal?.throwIfAborted();
  // The variables of libpq that may be around here (PGDATA, PGPORT, …) are not meant for this server.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PG')));
  const child = spawn(path, args, {
    ...account,
    cwd: '/',
    env: { ...env, LC_ALL: 'C' },
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    said = (said + part).slice(-SAID_MAX);
  });
  // Not spawn's own `signal`, which does not wait for the end.
  const kill = () => void child.kill();
  signal?.addEventListener('abort', kill);
  try {
    const [code, killedBy] = (await once(child, 'close')) as [number | null, string | null];
    if (code !== 0) throw new Error(`${path} ended with ${code ?? killedBy}: ${said.trim()}`);
  } finally {
    signal?.removeEventListener('abort', kill);
  }
}

/** Characters of what a program said that are kept for the error. */
const SAID_MAX = 4000;

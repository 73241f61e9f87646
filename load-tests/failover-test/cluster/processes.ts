import { execFile, spawn } from 'node:child_process';
import { open, readlink } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Account } from '../../../src/embedded-postgres/server.ts';

/** A process as `ps` shows it. */
export interface Process {
  pid: number;
  parent: number;
  command: string;
  /** The working directory of a process of PostgreSQL. */
  folder?: string;
}

/** The time limit for killed processes to end, in milliseconds. */
const GONE_MS_MAX = 20_000;

export interface Run {
  /** The user to run as; undefined: the current one. */
  account: Account | undefined;
  /** The program's home folder. */
  home: string;
  /** The file to which its output is appended. */
  log: string;
}

/** Runs a program in the background in its own session, so that Ctrl-C reaches only the command, which ends its programs. */
export async function runInBackground(program: string, args: string[], run: Run): Promise<void> {
  const log = await open(run.log, 'a');
  try {
    const child = spawn(program, args, {
      ...run.account,
      cwd: '/',
      env: environment(run.home),
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    });
    child.unref();
    await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  } finally {
    await log.close();
  }
}

/** An environment without the variables of this process: those of libpq and Patroni could name other servers. */
export const environment = (home: string): NodeJS.ProcessEnv => ({
  PATH: '/usr/local/bin:/usr/bin:/bin',
  HOME: home,
  LANG: 'C.UTF-8',
});

/** All processes of this machine. */
export async function allProcesses(): Promise<Process[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-ww', '-o', 'pid=,ppid=,args='], {
    maxBuffer: 2 ** 26,
  });
  const all = stdout.split('\n').flatMap((line) => {
    const [, pid, parent, command = ''] = /^ *(\d+) +(\d+) (.*)$/.exec(line) ?? [];
    return pid === undefined ? [] : [{ pid: Number(pid), parent: Number(parent), command }];
  });
  return Promise.all(
    all.map(async (one) =>
      one.command.startsWith('postgres') ? { ...one, folder: await workingFolderOf(one.pid) } : one,
    ),
  );
}

/** @returns an empty text if the process has ended, or belongs to another user */
const workingFolderOf = (pid: number): Promise<string> => readlink(`/proc/${pid}/cwd`).catch(() => '');

/**
 * The processes whose command line contains the folder's path, or that work in it, and their descendants. A backend has no
 * path in its command line, and no parent of its own any more if its postmaster was killed while it started; until it
 * ends, its shared memory prevents another start.
 */
export function processesOf(all: readonly Process[], folder: string): Process[] {
  const found = new Set(
    all.filter(
      ({ pid, command, folder: own = '' }) =>
        pid !== process.pid && (command.includes(`${folder}/`) || `${own}/`.startsWith(`${folder}/`)),
    ),
  );
  const byParent = Map.groupBy(all, ({ parent }) => parent);
  // Iterating over a set includes what is added meanwhile.
  for (const { pid } of found) for (const child of byParent.get(pid) ?? []) found.add(child);
  return [...found];
}

/** Sends a signal to a process. @returns whether the process existed */
export function signalTo({ pid }: Pick<Process, 'pid'>, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

/**
 * Kills processes until none of them is left: one may have started another one meanwhile.
 *
 * @throws {Error} when some are left after the time limit
 */
export async function killAll(find: () => Promise<Process[]>): Promise<void> {
  const deadline = performance.now() + GONE_MS_MAX;
  for (let left = await find(); left.length > 0; left = await find()) {
    if (performance.now() > deadline)
      throw new Error(`still running: ${left.map(({ pid, command }) => `${pid} ${command}`).join('; ')}`);
    for (const one of left) signalTo(one, 'SIGKILL');
    await setTimeout(20);
  }
}

import { execFile, spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Account } from '../../../src/embedded-postgres/server.ts';

/** A process as `ps` shows it. */
export interface Process {
  pid: number;
  parent: number;
  command: string;
}

/** How long killed processes may take to be gone, in milliseconds. */
const GONE_MS_MAX = 20_000;

export interface Run {
  /** As whom; undefined: as the user that we are. */
  account: Account | undefined;
  /** The home folder of what is run. */
  home: string;
  /** A file that its output is appended to. */
  log: string;
}

/** Runs a program in the background, in a session of its own: Ctrl-C is for the command, which ends what it started. */
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

/** Nothing of ours: variables of libpq and Patroni name other servers. */
export const environment = (home: string): NodeJS.ProcessEnv => ({
  PATH: '/usr/local/bin:/usr/bin:/bin',
  HOME: home,
  LANG: 'C.UTF-8',
});

/** Every process of this machine. */
export async function allProcesses(): Promise<Process[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-ww', '-o', 'pid=,ppid=,args='], {
    maxBuffer: 2 ** 26,
  });
  return stdout.split('\n').flatMap((line) => {
    const [, pid, parent, command = ''] = /^ *(\d+) +(\d+) (.*)$/.exec(line) ?? [];
    return pid === undefined ? [] : [{ pid: Number(pid), parent: Number(parent), command }];
  });
}

/** Those whose command line names something in the folder, and all that they have started. */
export function processesOf(all: readonly Process[], folder: string): Process[] {
  const found = new Set(
    all.filter(({ pid, command }) => pid !== process.pid && command.includes(`${folder}/`)),
  );
  const byParent = Map.groupBy(all, ({ parent }) => parent);
  // A set is walked to its end, with what is added on the way.
  for (const { pid } of found) for (const child of byParent.get(pid) ?? []) found.add(child);
  return [...found];
}

/** Sends this to a process. @returns whether there was one */
export function signalTo({ pid }: Pick<Process, 'pid'>, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}

/**
 * Kills them until there is none of them: one may have started another one meanwhile.
 *
 * @throws {Error} when some are left
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

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const REAPER = join(import.meta.dirname, 'reaper.ts');

/**
 * Runs `work` with this folder. If this process ends before the work does, because of an uncaught error or SIGKILL, a
 * second process ends all processes of the folder and removes it. Otherwise `work` has to do both.
 */
export async function withoutLeftovers<T>(folder: string, work: () => Promise<T>): Promise<T> {
  // In its own session, so that a signal to the process group of the command does not reach it.
  const reaper = spawn(process.execPath, [REAPER], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  const ended = once(reaper, 'exit');
  reaper.unref();
  // The second process may have ended already.
  reaper.stdin.on('error', () => {});
  reaper.stdin.write(folder);
  try {
    return await work();
  } finally {
    reaper.ref();
    reaper.stdin.end();
    await ended;
  }
}

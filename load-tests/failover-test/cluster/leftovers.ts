import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const REAPER = join(import.meta.dirname, 'reaper.ts');

/**
 * Runs `work` with this folder. If this process ends before the work does, by an uncaught error or a signal that cannot
 * be caught, another process ends all processes of the folder and removes it. Otherwise the work has to do so.
 */
export async function withoutLeftovers<T>(folder: string, work: () => Promise<T>): Promise<T> {
  // In a session of its own: what ends the whole group of this process must not end it.
  const reaper = spawn(process.execPath, [REAPER], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  const ended = once(reaper, 'exit');
  reaper.unref();
  // It may have been ended itself.
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

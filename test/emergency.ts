import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';

/** What ends the processes and removes the folders of this test file, without waiting. */
const cleanups: (() => void)[] = [];

/**
 * Runs the cleanup if a signal ends this process while the test is running. Teardowns do not run then: tap sends SIGALRM
 * to a file that takes too long, and kills it half a second later.
 */
function onSignal(t: Test, cleanup: () => void): void {
  cleanups.push(cleanup);
  t.teardown(() => cleanups.splice(cleanups.indexOf(cleanup), 1));
}

for (const signal of ['SIGALRM', 'SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.once(signal, () => {
    // In reverse order: what was started last may depend on what was started first.
    for (const cleanup of cleanups.toReversed()) cleanup();
    process.exit(128 + constants.signals[signal]);
  });
}

/** Ends the child if a signal ends this process. */
export const endInEmergency = (t: Test, child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): void =>
  onSignal(t, () => void child.kill(signal));

/** Removes the folder, and ends the PostgreSQL servers whose data is in it, if a signal ends this process. */
export const removeInEmergency = (t: Test, folder: string): void =>
  onSignal(t, () => {
    const inside = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    for (const path of inside.filter((name) => name.endsWith('postmaster.pid')))
      endServer(join(folder, path));
    // A server that is ending may still write.
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  });

function endServer(pidFile: string): void {
  try {
    process.kill(Number.parseInt(readFileSync(pidFile, 'utf8'), 10), 'SIGQUIT');
  } catch {
    // The server has ended already.
  }
}

import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';

/** What ends and removes what this file has started, without waiting for anything. */
const acts: (() => void)[] = [];

/**
 * Does it when this process is told to end while the test is running. No teardown comes then: tap gives a file that took
 * too long half a second after SIGALRM.
 */
function inEmergency(t: Test, act: () => void): void {
  acts.push(act);
  t.teardown(() => acts.splice(acts.indexOf(act), 1));
}

for (const signal of ['SIGALRM', 'SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.once(signal, () => {
    // What was started last depends on what was started before.
    for (const act of acts.toReversed()) act();
    process.exit(128 + constants.signals[signal]);
  });
}

/** Ends the child when this process is told to end. */
export const endInEmergency = (t: Test, child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): void =>
  inEmergency(t, () => void child.kill(signal));

/** Removes the folder, and ends the PostgreSQL servers whose data is in it, when this process is told to end. */
export const removeInEmergency = (t: Test, folder: string): void =>
  inEmergency(t, () => {
    const inside = readdirSync(folder, { recursive: true, encoding: 'utf8' });
    for (const path of inside.filter((name) => name.endsWith('postmaster.pid')))
      endServer(join(folder, path));
    // A server that is just ending may still write.
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  });

function endServer(pidFile: string): void {
  try {
    process.kill(Number.parseInt(readFileSync(pidFile, 'utf8'), 10), 'SIGQUIT');
  } catch {
    // It is gone already.
  }
}

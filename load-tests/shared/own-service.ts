import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { ownFolder } from './own-folder.ts';

const CHECKOUT = join(import.meta.dirname, '../..');

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface Program {
  child: ChildProcess;
  ended: Promise<Ended>;
}

/**
 * Runs a program of the checkout, or of another one by its absolute path, with this environment, PATH and Node's compile
 * cache; no other variables. The working directory is not the checkout, whose file `.env` may name a production database.
 */
export function runProgram([program = '', ...args]: string[], env: NodeJS.ProcessEnv): Program {
  const { PATH, NODE_COMPILE_CACHE } = process.env;
  const child = spawn(process.execPath, [resolve(CHECKOUT, program), ...args], {
    cwd: tmpdir(),
    env: { PATH, NODE_COMPILE_CACHE, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  const ended = once(child, 'close').then(([code, signal]): Ended => ({ code, signal, stdout, stderr }));
  return { child, ended };
}

/**
 * Waits until a service logs its address.
 *
 * @throws {Error} with its error output, when it ends before that
 */
export async function whenReady({ child, ended }: Program): Promise<string> {
  if (child.stdout) {
    for await (const line of createInterface({ input: child.stdout })) {
      const url = /ready: (http:[^\s"]+)/.exec(line)?.[1];
      // Keeps reading: a service would block on a full pipe.
      child.stdout.resume();
      if (url) return url;
    }
  }
  throw new Error(`the service did not start: ${(await ended).stderr}`);
}

export interface OwnService {
  url: string;
  /** Ends the service and removes its data. */
  stop: () => Promise<void>;
}

/**
 * Starts a service for a measurement: on a free port, with a fresh embedded PostgreSQL unless `DATABASE_URL` names
 * another one.
 */
export async function startOwnService(
  env: NodeJS.ProcessEnv = {},
  service = 'src/server.ts',
): Promise<OwnService> {
  const folder = await ownFolder('load');
  const program = runProgram([service], {
    PORT: '0',
    DATA_DIR: join(folder, 'data'),
    LOG_LEVEL: 'info',
    // All load comes from one address.
    DEMO_RATE_LIMIT: '0',
    DATABASE_URL: process.env.DATABASE_URL,
    ...env,
  });
  const stop = async () => {
    program.child.kill('SIGTERM');
    await program.ended;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    return { url: await whenReady(program), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

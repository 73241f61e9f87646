import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { freePort } from '../../../src/embedded-postgres/server.ts';
import { StartupError } from '../../../src/errors/startup-error.ts';
import { ownFolder } from '../../shared/own-folder.ts';

export interface OwnRedis {
  url: string;
  version: string;
}

/** Every write is appended to the log and flushed to disk before its answer; snapshots are disabled. */
const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''];

/** Ends the server when its standard input ends, which happens when this process ends, also by SIGKILL. */
const UNTIL_INPUT_ENDS = 'redis-server "$@" & exec >&-; read -r _; kill $!; wait';

/**
 * Runs `work` with a fresh, empty Redis whose writes are durable, and removes it afterwards.
 *
 * @throws {StartupError} as `redisVersion`
 */
export async function withOwnRedis<T>(work: (redis: OwnRedis) => Promise<T>): Promise<T> {
  const version = redisVersion();
  const folder = await ownFolder('redis');
  try {
    const port = await freePort();
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, ...DURABLE];
    // In its own process group, so that Ctrl-C reaches only the command, which ends the server.
    const child = spawn('sh', ['-c', UNTIL_INPUT_ENDS, 'redis', ...args], {
      detached: true,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const ended = once(child, 'exit');
    try {
      await once(child, 'spawn');
      await whenReady(child.stdout);
      return await work({ url: `redis://127.0.0.1:${port}`, version });
    } finally {
      child.stdin.end();
      await ended;
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** @throws {StartupError} if redis-server is missing; the message contains the command that installs it */
export function redisVersion(): string {
  const { stdout, status } = spawnSync('redis-server', ['--version'], { encoding: 'utf8' });
  if (status !== 0)
    throw new StartupError(
      'missing: redis-server; on Debian: apt-get install --no-install-recommends redis-server',
    );
  return /v=(\S+)/.exec(stdout)?.[1] ?? 'unknown';
}

/** Waits until Redis accepts connections. @throws {Error} with its last output, if it ends before that */
async function whenReady(stdout: NodeJS.ReadableStream): Promise<void> {
  const output: string[] = [];
  for await (const line of createInterface({ input: stdout })) {
    if (/Ready to accept/.test(line)) {
      stdout.resume();
      return;
    }
    output.push(line);
  }
  throw new Error(`redis-server did not start: ${output.slice(-3).join(' | ')}`);
}

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Test } from 'tap';
import { freePort } from '../src/embedded-postgres/server.ts';
import { endInEmergency } from './emergency.ts';
import { testFolder } from './helper.ts';

/** Starts a Redis for this test on a free port, without persistence; resolves with its address. */
export async function startRedis(t: Test): Promise<string> {
  const port = await freePort();
  const folder = await testFolder(t, 'redis');
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder];
  const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'ignore'] });
  t.teardown(async () => {
    if (child.exitCode === null && child.kill()) await once(child, 'exit');
  });
  endInEmergency(t, child);
  await once(child, 'spawn');
  for await (const line of createInterface(child.stdout)) if (/Ready to accept/.test(line)) break;
  child.stdout.resume();
  return `redis://127.0.0.1:${port}`;
}

/** Whether redis-server is installed. */
export const hasRedis = () => spawnSync('redis-server', ['--version']).status === 0;

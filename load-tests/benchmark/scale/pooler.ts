import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { accountOfServers } from '../../../src/embedded-postgres/home.ts';
import { freePort } from '../../../src/embedded-postgres/server.ts';
import { ownFolder } from '../../shared/own-folder.ts';
import { databaseUrlAt } from './servers.ts';

/** The path of PgBouncer: `PGBOUNCER`, or Debian's. */
const PGBOUNCER = process.env.PGBOUNCER ?? '/usr/sbin/pgbouncer';

/** The time limit for it to listen, in milliseconds. */
const START_MS_MAX = 10_000;

export interface Pooler {
  databaseUrl: string;
  stop: () => Promise<void>;
}

/** Starts PgBouncer in transaction mode in front of the server at a port; undefined: PgBouncer is not installed. */
export async function startPooler(serverPort: number): Promise<Pooler | undefined> {
  if (!existsSync(PGBOUNCER)) return undefined;
  const folder = await ownFolder('pooler');
  const port = await freePort();
  const file = join(folder, 'pgbouncer.ini');
  await writeFile(join(folder, 'users.txt'), `"postgres" "${new URL(databaseUrlAt(port)).password}"\n`);
  await writeFile(file, configuration(folder, port, serverPort));
  const child = spawn(PGBOUNCER, [file], { ...accountOfServers(), cwd: '/', stdio: 'ignore' });
  const ended = once(child, 'close');
  const stop = async () => {
    child.kill();
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await untilListening(child, port);
    return { databaseUrl: databaseUrlAt(port), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const configuration = (folder: string, port: number, serverPort: number): string => `[databases]
* = host=127.0.0.1 port=${serverPort}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = plain
auth_file = ${folder}/users.txt
pool_mode = transaction
default_pool_size = 20
`;

/** @throws {Error} if it ends, or does not listen within the time limit */
async function untilListening(child: ChildProcess, port: number): Promise<void> {
  const deadline = AbortSignal.timeout(START_MS_MAX);
  for (;;) {
    if (child.exitCode !== null) throw new Error(`PgBouncer ended with exit code ${child.exitCode}`);
    const socket = connect({ port, host: '127.0.0.1' });
    const listens = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (listens) return;
    await setTimeout(20, undefined, { signal: deadline });
  }
}

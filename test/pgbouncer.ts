import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Test } from 'tap';
import { freePort } from '../src/embedded-postgres/server.ts';
import { endInEmergency } from './emergency.ts';
import { testFolder, until } from './helper.ts';

const PGBOUNCER = '/usr/sbin/pgbouncer';

/** The option `skip` of `t.test`: false, or why tests with PgBouncer cannot run here. */
export const noPgBouncer: false | string = !existsSync(PGBOUNCER) && `${PGBOUNCER} is not installed`;

/** Starts Debian's PgBouncer in front of the server; resolves with its port. `more`: further lines of its settings. */
export async function pgbouncer(t: Test, serverPort: number, more = ''): Promise<number> {
  const folder = await testFolder(t, 'pgbouncer');
  const port = await freePort();
  const settings = `listen_addr = 127.0.0.1\nlisten_port = ${port}\nunix_socket_dir =\nauth_type = trust
auth_file = ${folder}/users\npool_mode = transaction\ndefault_pool_size = 20\n${more}\n`;
  await writeFile(join(folder, 'users'), '"postgres" "test"\n');
  await writeFile(
    join(folder, 'pgbouncer.ini'),
    `[databases]\n* = host=127.0.0.1 port=${serverPort}\n[pgbouncer]\n${settings}`,
  );
  // PgBouncer refuses to run as root.
  const account = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  const child = spawn(PGBOUNCER, [join(folder, 'pgbouncer.ini')], { ...account, cwd: '/', stdio: 'ignore' });
  t.teardown(async () => {
    child.kill('SIGKILL');
    await once(child, 'close');
  });
  endInEmergency(t, child);
  await until(async () => {
    const socket = connect({ port, host: '127.0.0.1' });
    await once(socket, 'connect');
    socket.destroy();
    return true;
  });
  return port;
}

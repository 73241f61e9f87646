import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HAPROXY } from '../timing.ts';
import type { Node } from './node.ts';
import { PASSWORDS } from './patroni-config.ts';
import { type Run, runInBackground } from './processes.ts';

/** The role and the database of the service. */
export const SERVICE = 'counters';

/** The address of the service's database at a port: a server's or a proxy's. */
export const serviceUrl = (port: number): string =>
  `postgresql://${SERVICE}:${PASSWORDS.service}@127.0.0.1:${port}/${SERVICE}`;

/** How the service reaches the primary: through HAProxy, through PgBouncer and HAProxy, or by the addresses of all nodes. */
export const ways = ['haproxy', 'pgbouncer', 'hosts'] as const;
export type Way = (typeof ways)[number];

/** An address that lists every node; the service has to find the one that accepts writes. */
export const hostsUrl = (nodes: readonly { ports: { entrance: number } }[]): string => {
  const hosts = nodes.map(({ ports }) => `127.0.0.1:${ports.entrance}`);
  return `postgresql://${SERVICE}:${PASSWORDS.service}@${hosts.join()}/${SERVICE}?target_session_attrs=read-write`;
};

/** HAProxy, which routes to the node that reports itself as the primary. */
export async function startHaproxy(
  program: string,
  folder: string,
  run: Run,
  port: number,
  nodes: readonly Node[],
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const file = join(folder, 'haproxy.cfg');
  await writeFile(file, haproxyConfig(port, nodes));
  await runInBackground(program, ['-db', '-f', file], run);
}

/** Without `on-marked-down`, sessions on a primary that stopped answering would hang until the client's own timeout. */
function haproxyConfig(port: number, nodes: readonly Node[]): string {
  const { interMs, fall, rise } = HAPROXY;
  return `global
  maxconn 500
defaults
  mode tcp
  retries 2
  timeout connect 2s
  timeout client 30m
  timeout server 30m
  timeout check 1s
listen primary
  bind 127.0.0.1:${port}
  option httpchk OPTIONS /primary
  http-check expect status 200
  default-server inter ${interMs}ms fastinter 250ms fall ${fall} rise ${rise} on-marked-down shutdown-sessions
${nodes
  .map(({ name, ports }) => `  server ${name} 127.0.0.1:${ports.entrance} check port ${ports.checks}\n`)
  .join('')}`;
}

/** PgBouncer in transaction mode, in front of HAProxy. */
export async function startPgBouncer(
  program: string,
  folder: string,
  run: Run,
  port: number,
  behind: number,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const file = join(folder, 'pgbouncer.ini');
  await writeFile(join(folder, 'users.txt'), `"${SERVICE}" "${PASSWORDS.service}"\n`);
  await writeFile(file, pgbouncerConfig(folder, port, behind));
  await runInBackground(program, [file], run);
}

const pgbouncerConfig = (folder: string, port: number, behind: number): string => `[databases]
${SERVICE} = host=127.0.0.1 port=${behind} dbname=${SERVICE}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = plain
auth_file = ${folder}/users.txt
pool_mode = transaction
max_client_conn = 200
default_pool_size = 20
server_login_retry = 1
server_connect_timeout = 2
server_check_delay = 0
query_wait_timeout = 5
ignore_startup_parameters = extra_float_digits
`;

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chown, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import type { Test } from 'tap';
import { createCluster, freePort, startServer, stopServer } from '../src/embedded-postgres/server.ts';
import { accountOfServers } from '../src/embedded-postgres/home.ts';
import { testFolder } from './helper.ts';

const PASSWORD = 'test';
const installed = '/usr/lib/postgresql';

/** The programs of a complete PostgreSQL: a standby needs pg_basebackup, which the embedded one does not have. */
export async function completePostgres(): Promise<string | undefined> {
  const versions = await readdir(installed).catch(() => []);
  const bins = [process.env.POSTGRES_BIN, ...versions.map((version) => join(installed, version, 'bin'))];
  return bins.find((bin) => bin !== undefined && existsSync(join(bin, 'pg_basebackup')));
}

/** A primary and a streaming standby of it, for as long as the test runs. */
export async function startPair(t: Test, bin: string): Promise<{ primary: string; standby: string }> {
  const account = accountOfServers();
  const programs = { bin, account };
  const folder = await testFolder(t, 'standby');
  const clusters = ['primary', 'standby'].map((name) => join(folder, name));
  const [primary = '', standby = ''] = clusters;
  t.teardown(async () => {
    for (const cluster of clusters.toReversed()) await stopServer(programs, cluster);
  });
  const start = async (cluster: string) => {
    const port = await freePort();
    await startServer(programs, cluster, { port, logFile: `${cluster}.log`, settings: { fsync: 'off' } });
    return port;
  };
  await createCluster(programs, primary, PASSWORD);
  const primaryPort = await start(primary);
  await mkdir(standby, { mode: 0o700 });
  if (account) await chown(standby, account.uid, account.gid);
  const args = ['-h', '127.0.0.1', '-p', String(primaryPort), '-U', 'postgres', '-D', standby];
  await promisify(execFile)(join(bin, 'pg_basebackup'), [...args, '-R', '-X', 'stream', '-c', 'fast'], {
    ...account,
    cwd: '/',
    env: { PATH: process.env.PATH, LC_ALL: 'C', PGPASSWORD: PASSWORD },
  });
  const standbyPort = await start(standby);
  const url = (port: number) => `postgresql://postgres:${PASSWORD}@127.0.0.1:${port}/postgres`;
  return { primary: url(primaryPort), standby: url(standbyPort) };
}

/** Makes new transactions read-only or writable again; resolves when the setting has taken effect, also for new connections. */
export async function setReadOnly(client: Client, readOnly: boolean): Promise<void> {
  await client.query(`alter system set default_transaction_read_only = ${readOnly ? 'on' : 'off'}`);
  await client.query('select pg_reload_conf()');
  const { host, port, user, password, database } = client;
  for (let now: boolean | undefined; now !== readOnly; ) {
    const probe = new Client({ host, port, user, password, database });
    await probe.connect();
    const { rows } = await probe.query<{ now: boolean }>(
      `select current_setting('transaction_read_only')::boolean as now`,
    );
    await probe.end();
    now = rows[0]?.now;
  }
}

/** Promotes the standby; the old primary keeps running. */
export async function promote(standby: Client): Promise<void> {
  await standby.query('select pg_promote()');
}

/** Makes commits wait for a standby that does not exist; resolves when the setting has taken effect. */
export async function requireMissingStandby(client: Client, databaseUrl: string): Promise<void> {
  await client.query(`alter system set synchronous_standby_names = 'missing'`);
  await client.query('select pg_reload_conf()');
  for (let waits = false; !waits; ) {
    const probe = new Client({ connectionString: databaseUrl, application_name: 'probe' });
    probe.on('error', () => {});
    await probe.connect();
    const committed = probe.query(`select pg_logical_emit_message(true, 'probe', '')`).then(
      () => true,
      () => true,
    );
    for (let done = false; !done && !waits; ) {
      const { rowCount } = await client.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'SyncRep' and application_name = 'probe'`,
      );
      waits = rowCount === 1;
      done = await Promise.race([committed, Promise.resolve(false)]);
    }
    await probe.end().catch(() => {});
  }
}

/** Makes commits wait for no standby. */
export async function requireNoStandby(client: Client): Promise<void> {
  await client.query('alter system reset synchronous_standby_names');
  await client.query('select pg_reload_conf()');
}

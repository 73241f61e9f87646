import { execFile } from 'node:child_process';
import { appendFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { accountOfServers } from '../src/embedded-postgres/home.ts';
import type { OwnServer } from './own-server.ts';

const run = promisify(execFile);

/**
 * Base backup, archive of the write-ahead log and point-in-time recovery of a server, through SQL and copies, since the
 * embedded PostgreSQL has no pg_basebackup. Source: PostgreSQL documentation, 25.3.4 "Making a Base Backup Using the
 * Low Level API" and 25.3.5 "Recovering Using a Continuous Archive Backup".
 */
export class PointInTime {
  readonly #server: OwnServer;
  readonly #archive: string;
  readonly #backup: string;

  private constructor(server: OwnServer) {
    this.#server = server;
    this.#archive = join(dirname(server.cluster), 'archive');
    this.#backup = join(dirname(server.cluster), 'backup');
  }

  /** Turns archiving on and takes a base backup. Restarts the server. */
  static async begin(server: OwnServer): Promise<PointInTime> {
    const one = new PointInTime(server);
    await mkdir(one.#archive);
    await ownedByServer(one.#archive);
    await one.#asAdministrator(async (client) => {
      await client.query('alter system set archive_mode = on');
      await client.query(`alter system set archive_command = 'cp %p ${one.#archive}/%f'`);
    });
    await server.stop();
    await server.start();
    await one.#asAdministrator(async (client) => {
      await client.query(`select pg_backup_start('test', true)`);
      await run('cp', ['-a', server.cluster, one.#backup]);
      const { rows } = await client.query<{ labelfile: string }>('select labelfile from pg_backup_stop()');
      await writeFile(join(one.#backup, 'backup_label'), rows[0]?.labelfile ?? '');
    });
    for (const left of ['postmaster.pid', 'postmaster.opts']) await rm(join(one.#backup, left));
    await ownedByServer(join(one.#backup, 'backup_label'));
    return one;
  }

  /** Creates a restore point. */
  async name(moment: string): Promise<void> {
    await this.#asAdministrator(async (client) => {
      await client.query('select pg_create_restore_point($1)', [moment]);
      // Only complete segments are archived.
      await client.query('select pg_switch_wal()');
    });
  }

  /** Restores the data of that restore point at the same port; later changes are lost. Can be called once. */
  async restore(moment: string): Promise<void> {
    const { cluster } = this.#server;
    // A fast shutdown archives the complete segments.
    await this.#server.stop();
    await rm(cluster, { recursive: true });
    await rename(this.#backup, cluster);
    // As after the loss of the machine: only the archived part of the log is left.
    await rm(join(cluster, 'pg_wal'), { recursive: true });
    await mkdir(join(cluster, 'pg_wal'), { mode: 0o700 });
    await ownedByServer(join(cluster, 'pg_wal'));
    await appendFile(
      join(cluster, 'postgresql.auto.conf'),
      `restore_command = 'cp ${this.#archive}/%f %p'\nrecovery_target_name = '${moment}'\nrecovery_target_action = 'promote'\n`,
    );
    await writeFile(join(cluster, 'recovery.signal'), '');
    await ownedByServer(join(cluster, 'recovery.signal'));
    await this.#server.start();
  }

  async #asAdministrator(work: (client: Client) => Promise<void>): Promise<void> {
    const client = new Client(this.#server.databaseUrl);
    client.on('error', () => {});
    await client.connect();
    try {
      await work(client);
    } finally {
      await client.end();
    }
  }
}

async function ownedByServer(path: string): Promise<void> {
  const account = accountOfServers();
  if (account) await run('chown', [`${account.uid}:${account.gid}`, path]);
}

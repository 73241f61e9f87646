import type { MikroORM } from '@mikro-orm/postgresql';
import { PostgresDialect } from 'kysely';
import type { Client } from 'pg';
import { pause } from '../bench/observer.ts';
import { newPostClass, type PostClass } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';

/** MikroORM with a writer and a reader, and a direct connection to the reader's server. */
export interface Routed {
  Post: PostClass;
  orm: MikroORM;
  /** Whether the reader is a standby; otherwise it is a read-only connection to the same server. */
  standby: boolean;
  /** The experiment's own session on the reader's server. */
  reader: Client;
}

/**
 * Routes reads to the first of DATABASE_REPLICA_URLS. Without one, routes them to the experiment's own server through
 * read-only connections: the routing is the same, only the lag is missing.
 */
export async function openRouted(scratch: Scratch): Promise<Routed> {
  const replicaUrl = scratch.context.config.DATABASE_REPLICA_URLS?.split(',')[0];
  const name = 'reader';
  const settings = replicaUrl ? { name, databaseUrl: replicaUrl } : { name, readOnly: true };
  const { sessions } = scratch.pool(settings);
  const Post = newPostClass();
  const replica = { name, driverOptions: () => new PostgresDialect({ pool: sessions }) };
  const orm = scratch.orm([Post], { name: 'writer' }, { replicas: [replica] });
  const reader = await scratch.connect('reader', settings);
  const routed = { Post, orm, standby: replicaUrl !== undefined, reader };
  await caughtUp(scratch, routed, await position(scratch));
  return routed;
}

/** The current log position of the writer: a standby that has replayed it has everything that is committed by now. */
export async function position({ outside }: Scratch): Promise<string> {
  const { rows } = await outside.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn');
  return rows[0]?.lsn ?? '';
}

/** Waits until the reader has replayed the log up to this position; a reader that is not a standby always has. */
export async function caughtUp({ context }: Scratch, { reader }: Routed, lsn: string): Promise<void> {
  const sql = 'select coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, true) as there';
  for (;;) {
    context.signal.throwIfAborted();
    const { rows } = await reader.query<{ there: boolean }>(sql, [lsn]);
    if (rows[0]?.there) return;
    await pause();
  }
}

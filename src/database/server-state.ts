import type { Sessions } from './sessions.ts';

/** Risks for writes: that they are lost although the commit was confirmed, or that they are refused. */
export const risks = {
  fsync_off: 'fsync is off: a crash of the machine can lose acknowledged writes or corrupt the database',
  synchronous_commit_off: 'synchronous_commit is off: a crash of the server can lose acknowledged writes',
  asynchronous_standbys:
    'standbys replicate asynchronously: a failover to one of them can lose acknowledged writes',
  foreign_create:
    'another role may create objects in the schema of the counters (grant create on schema): revoke it, unless that role is trusted',
  disk_full: 'the disk is full, or was full within the last minute: writes are refused, and reads still work',
} as const;

export type Risk = keyof typeof risks;

/** The current state of the server, as far as it concerns writes. */
export interface ServerState {
  /** Whether it refuses writes, as a standby or because of a setting. */
  readOnly: boolean;
  risks: Risk[];
  /** The age of the oldest transaction that a snapshot may still need, in transactions: it limits what vacuum removes. */
  oldestSnapshotAge: number | undefined;
}

interface Settings {
  readOnly: boolean;
  fsync: string | null;
  synchronousCommit: string | null;
  standbyNames: string | null;
  standbys: number;
  oldestSnapshotAge: number | null;
  foreignCreate: boolean;
}

/**
 * A query that every role may run. (The names of standbys, and which ones are synchronous, need more privileges.)
 * Receivers of logical replication are not standbys. $1: the schema of the counters.
 */
const ASK = {
  name: 'server-state-3',
  text: `
    select pg_catalog.current_setting('transaction_read_only') = 'on' as "readOnly",
           pg_catalog.current_setting('fsync', true) as fsync,
           pg_catalog.current_setting('synchronous_commit', true) as "synchronousCommit",
           pg_catalog.current_setting('synchronous_standby_names', true) as "standbyNames",
           (select pg_catalog.count(*)::int from pg_catalog.pg_stat_replication where pid not in (
              select active_pid from pg_catalog.pg_replication_slots
              where slot_type = 'logical' and active_pid is not null
            )) as standbys,
           (select pg_catalog.max(age) from (
              select pg_catalog.age(backend_xmin) from pg_catalog.pg_stat_activity where backend_xmin is not null
              union all select pg_catalog.age(xmin) from pg_catalog.pg_replication_slots where xmin is not null
              union all select pg_catalog.age(transaction) from pg_catalog.pg_prepared_xacts) as held (age)
           ) as "oldestSnapshotAge",
           exists (
             select from pg_catalog.pg_namespace as n, lateral pg_catalog.aclexplode(n.nspacl) as granted
             where n.nspname = $1::pg_catalog.text and granted.privilege_type = 'CREATE'
               and granted.grantee <> n.nspowner and granted.grantee <> (
                 select oid from pg_catalog.pg_roles where rolname = current_user)
           ) as "foreignCreate"`,
};

/**
 * Reads the state of the server, in one round trip.
 *
 * @param schema that of the counters
 * @throws {ConnectionError} when the server does not answer
 */
export async function serverState(sessions: Pick<Sessions, 'query'>, schema: string): Promise<ServerState> {
  const { rows } = await sessions.query<Settings>({ ...ASK, values: [schema] });
  const [row] = rows;
  if (!row) throw new TypeError('no answer');
  const asynchronous =
    row.standbys > 0 && (!row.standbyNames || /^(off|local)$/.test(row.synchronousCommit ?? ''));
  const conditions: [Risk, boolean][] = [
    ['fsync_off', row.fsync === 'off'],
    ['synchronous_commit_off', row.synchronousCommit === 'off'],
    ['asynchronous_standbys', asynchronous],
    ['foreign_create', row.foreignCreate],
  ];
  return {
    readOnly: row.readOnly,
    risks: conditions.flatMap(([risk, applies]) => (applies ? [risk] : [])),
    oldestSnapshotAge: row.oldestSnapshotAge ?? undefined,
  };
}

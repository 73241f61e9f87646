import { PATRONI, REPLICATION_TIMEOUT_S } from '../timing.ts';

/** The name of the cluster, for Patroni. */
export const SCOPE = 'drill';

/** Passwords of servers that listen on the loopback address while a run lasts. */
export const PASSWORDS = {
  superuser: 'super',
  replication: 'replication',
  rewind: 'rewind',
  service: 'service',
};

/** How many bytes of WAL a standby may lack and still be promoted: enough for the positive control. */
const LAG_MAX = 64 * 2 ** 20;

export interface NodeConfig {
  name: string;
  folder: string;
  /** The folder of PostgreSQL's binaries. */
  bin: string;
  /** Whether commits wait for a standby, always. */
  synchronous: boolean;
  ports: {
    postgres: number;
    rest: number;
    /** The link ports: from the other nodes to its PostgreSQL, and from Patroni to etcd. */
    peers: number;
    etcd: number;
  };
}

/**
 * The configuration of one node. With etcd's v2 protocol: with v3, Patroni before 3.0.3 lets a leader that was stopped
 * overwrite the leader's key when it is resumed, and acknowledged writes are discarded (patroni, pull requests 2689 and 2693).
 */
export const patroniConfig = ({ name, folder, bin, synchronous, ports }: NodeConfig) => ({
  scope: SCOPE,
  name,
  restapi: { listen: `127.0.0.1:${ports.rest}`, connect_address: `127.0.0.1:${ports.rest}` },
  // As proxies: otherwise Patroni would ask etcd for its member addresses and bypass the link.
  etcd: { hosts: [`127.0.0.1:${ports.etcd}`], use_proxies: true },
  bootstrap: {
    dcs: {
      ...PATRONI,
      maximum_lag_on_failover: LAG_MAX,
      synchronous_mode: synchronous,
      synchronous_mode_strict: synchronous,
      postgresql: { use_pg_rewind: true, use_slots: true, parameters: PARAMETERS },
    },
    initdb: [{ encoding: 'UTF8' }, { locale: 'C.UTF-8' }, 'data-checksums'],
  },
  postgresql: {
    listen: `127.0.0.1:${ports.postgres}`,
    connect_address: `127.0.0.1:${ports.peers}`,
    bin_dir: bin,
    data_dir: `${folder}/data`,
    pgpass: `${folder}/pgpass`,
    authentication: {
      superuser: { username: 'postgres', password: PASSWORDS.superuser },
      replication: { username: 'replicator', password: PASSWORDS.replication },
      rewind: { username: 'rewinder', password: PASSWORDS.rewind },
    },
    basebackup: [{ checkpoint: 'fast' }],
    remove_data_directory_on_rewind_failure: true,
    remove_data_directory_on_diverged_timelines: true,
    parameters: { unix_socket_directories: folder },
    pg_hba: [
      'local all all trust',
      'host all all 127.0.0.1/32 scram-sha-256',
      'host replication replicator 127.0.0.1/32 scram-sha-256',
    ],
  },
});

const PARAMETERS = {
  max_connections: 100,
  shared_buffers: '64MB',
  wal_log_hints: 'on',
  wal_keep_size: '256MB',
  synchronous_commit: 'on',
  wal_receiver_timeout: `${REPLICATION_TIMEOUT_S}s`,
  wal_sender_timeout: `${REPLICATION_TIMEOUT_S}s`,
  wal_retrieve_retry_interval: '500ms',
  password_encryption: 'scram-sha-256',
  log_line_prefix: '%m [%p] %a ',
};

import type { ClientConfig } from 'pg';
import { codeOf, messageOf } from '../errors/caught.ts';
import { StartupError } from '../errors/startup-error.ts';
import { newClient } from './driver.ts';
import { unsuitableEncoding } from './encoding.ts';
import { ConnectionError } from './failure.ts';

/** The part of the service's configuration that the database layer uses. Times are in milliseconds. */
export interface DatabaseConfig {
  readonly POOL_MAX: number;
  readonly POOL_ACQUIRE_TIMEOUT_MS: number;
  readonly LOCK_TIMEOUT_MS: number;
  readonly STATEMENT_TIMEOUT_MS: number;
  readonly IDLE_IN_TRANSACTION_TIMEOUT_MS: number;
  readonly ISOLATION_LEVEL: string;
  readonly SQL_DEBUG: boolean;
}

/** The settings of a session, sent when it connects. */
type SessionSettings = Pick<
  ClientConfig,
  'lock_timeout' | 'statement_timeout' | 'idle_in_transaction_session_timeout' | 'options'
>;

/**
 * With these, the server detects within a minute that this process has disappeared; by default it takes two hours. A
 * statement whose end (its Sync message) has not arrived keeps its locks, and no other timeout of PostgreSQL 15 ends it.
 */
const KEEPALIVE = ['tcp_keepalives_idle=30', 'tcp_keepalives_interval=10', 'tcp_keepalives_count=3'];

/** What a probe has found out about the sessions. */
export interface SessionKind {
  /** Whether settings are refused, as by a pooler in transaction mode, so that none may be sent. */
  pooled: boolean;
  /** The value for synchronous_commit: that of the role or the database, but `on` instead of `off`. */
  synchronousCommit: string;
}

/**
 * The time limits of each session, its isolation level, and its synchronous_commit. They override the settings of the
 * database and the role.
 */
export function sessionSettings(config: DatabaseConfig, synchronousCommit?: string): SessionSettings {
  return {
    lock_timeout: config.LOCK_TIMEOUT_MS,
    statement_timeout: config.STATEMENT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: config.IDLE_IN_TRANSACTION_TIMEOUT_MS,
    options: [
      `-c default_transaction_isolation=${config.ISOLATION_LEVEL.replaceAll(' ', '\\ ')}`,
      ...(synchronousCommit ? [`-c synchronous_commit=${synchronousCommit}`] : []),
      // Needed for the warning that no standby has confirmed a commit.
      '-c client_min_messages=warning',
      ...KEEPALIVE.map((setting) => `-c ${setting}`),
    ].join(' '),
  };
}

/**
 * Connects once and finds out whether sessions accept settings. A pooler in transaction mode (PgBouncer) refuses or
 * ignores them; then they have to be set on the role.
 *
 * @param warn called with the settings that the role needs
 * @throws {StartupError} when sessions do not get the configured isolation level, or the encoding is not suitable
 * @throws {ConnectionError} `read_only` when the server accepts no writes
 * @throws the error of connecting
 */
export async function probeSessions(
  databaseUrl: string,
  config: DatabaseConfig,
  warn: (message: string) => void,
): Promise<SessionKind> {
  let refused = false;
  const seen = await currentSettings(databaseUrl, config, sessionSettings(config)).catch((error: unknown) => {
    refused = codeOf(error) === '08P01' && messageOf(error).includes('startup parameter');
    if (!refused) throw error;
    return currentSettings(databaseUrl, config, {});
  });
  if (seen.readOnly) throw new ConnectionError('read_only', 'the server is a standby, or read-only');
  const unsuitable = unsuitableEncoding(seen.encoding);
  if (unsuitable) throw new StartupError(unsuitable);
  if (seen.isolation !== config.ISOLATION_LEVEL) {
    throw new StartupError(
      `sessions have the isolation level "${seen.isolation}", not ISOLATION_LEVEL "${config.ISOLATION_LEVEL}": ` +
        'a pooler does not forward it; set default_transaction_isolation on the role or the database',
    );
  }
  if (
    seen.lockTimeoutMs !== config.LOCK_TIMEOUT_MS ||
    seen.statementTimeoutMs !== config.STATEMENT_TIMEOUT_MS
  ) {
    warn(
      'the timeouts for locks, statements and idle transactions are not applied, probably because a pooler does not forward them: set them ' +
        'on the role (alter role … set lock_timeout = …, statement_timeout, idle_in_transaction_session_timeout)',
    );
  }
  const { synchronousCommit } = seen;
  return { pooled: refused, synchronousCommit: synchronousCommit === 'off' ? 'on' : synchronousCommit };
}

async function currentSettings(databaseUrl: string, config: DatabaseConfig, settings: SessionSettings) {
  const connectionTimeoutMillis = config.POOL_ACQUIRE_TIMEOUT_MS;
  const client = newClient(databaseUrl, {
    connectionTimeoutMillis,
    query_timeout: connectionTimeoutMillis,
    ...settings,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{
      isolation: string;
      lock: string;
      statement: string;
      synchronous: string | null;
      encoding: string;
      read_only: boolean;
    }>(
      `select current_setting('default_transaction_isolation') as isolation,
              extract(epoch from current_setting('lock_timeout')::interval) * 1000 as lock,
              extract(epoch from current_setting('statement_timeout')::interval) * 1000 as statement,
              current_setting('synchronous_commit', true) as synchronous,
              current_setting('server_encoding') as encoding,
              current_setting('transaction_read_only') = 'on' as read_only`,
    );
    const [row] = rows;
    return {
      isolation: row?.isolation,
      synchronousCommit: row?.synchronous ?? 'on',
      encoding: row?.encoding ?? '',
      readOnly: row?.read_only,
      lockTimeoutMs: Number(row?.lock),
      statementTimeoutMs: Number(row?.statement),
    };
  } finally {
    await client.end();
  }
}

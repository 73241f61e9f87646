import type { ClientConfig } from 'pg';
import { codeOf, messageOf } from '../errors/caught.ts';
import { StartupError } from '../errors/startup-error.ts';
import { newClient } from './driver.ts';
import { ConnectionError } from './failure.ts';

/** What the database layer reads of the service's configuration. Times in milliseconds. */
export interface DatabaseConfig {
  readonly POOL_MAX: number;
  readonly POOL_ACQUIRE_TIMEOUT_MS: number;
  readonly LOCK_TIMEOUT_MS: number;
  readonly STATEMENT_TIMEOUT_MS: number;
  readonly IDLE_IN_TRANSACTION_TIMEOUT_MS: number;
  readonly ISOLATION_LEVEL: string;
  readonly SQL_DEBUG: boolean;
}

/** What a session is told when it connects. */
type SessionSettings = Pick<
  ClientConfig,
  'lock_timeout' | 'statement_timeout' | 'idle_in_transaction_session_timeout' | 'options'
>;

/**
 * For the server to notice within a minute that we are gone without a word. A statement that it waits for the end of
 * (its Sync) keeps its locks, and no other timeout of PostgreSQL 15 ends that; by default this takes two hours.
 */
const KEEPALIVE = ['tcp_keepalives_idle=30', 'tcp_keepalives_interval=10', 'tcp_keepalives_count=3'];

/** What connecting once has shown of the sessions there. */
export interface SessionKind {
  /** Whether settings are refused, so that none may be sent: a pooler hands out sessions by the transaction. */
  pooled: boolean;
  /** What to set synchronous_commit to: as the role or the database has it, but for `off`. */
  synchronousCommit: string;
}

/**
 * The server's own limits for each session, the isolation level, and when a commit is confirmed; a database or a role
 * can have other ones.
 */
export function sessionSettings(config: DatabaseConfig, synchronousCommit?: string): SessionSettings {
  return {
    lock_timeout: config.LOCK_TIMEOUT_MS,
    statement_timeout: config.STATEMENT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: config.IDLE_IN_TRANSACTION_TIMEOUT_MS,
    options: [
      `-c default_transaction_isolation=${config.ISOLATION_LEVEL.replaceAll(' ', '\\ ')}`,
      ...(synchronousCommit ? [`-c synchronous_commit=${synchronousCommit}`] : []),
      // That a standby did not confirm a commit is told in a warning.
      '-c client_min_messages=warning',
      ...KEEPALIVE.map((setting) => `-c ${setting}`),
    ].join(' '),
  };
}

/**
 * Connects once and finds out what sessions are there, and whether they can be given settings. A pooler that hands
 * out sessions by the transaction (PgBouncer) refuses them, or ignores them: then they have to be set on the role.
 *
 * @param warn told what has to be set there
 * @throws {StartupError} when the isolation level that was asked for cannot be had
 * @throws {ConnectionError} `read_only` when the server takes no writes
 * @throws whatever connecting threw
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
  if (seen.readOnly) throw new ConnectionError('read_only', 'it is read-only, as a standby is');
  if (seen.isolation !== config.ISOLATION_LEVEL) {
    throw new StartupError(
      `sessions get the isolation level "${seen.isolation}" there, not ISOLATION_LEVEL "${config.ISOLATION_LEVEL}": ` +
        'a pooler does not pass it on; set default_transaction_isolation on the role or the database',
    );
  }
  if (
    seen.lockTimeoutMs !== config.LOCK_TIMEOUT_MS ||
    seen.statementTimeoutMs !== config.STATEMENT_TIMEOUT_MS
  ) {
    warn(
      'the timeouts for locks, statements and idle transactions are not passed on, by a pooler it seems: set them ' +
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
      read_only: boolean;
    }>(
      `select current_setting('default_transaction_isolation') as isolation,
              extract(epoch from current_setting('lock_timeout')::interval) * 1000 as lock,
              extract(epoch from current_setting('statement_timeout')::interval) * 1000 as statement,
              current_setting('synchronous_commit', true) as synchronous,
              current_setting('transaction_read_only') = 'on' as read_only`,
    );
    const [row] = rows;
    return {
      isolation: row?.isolation,
      synchronousCommit: row?.synchronous ?? 'on',
      readOnly: row?.read_only,
      lockTimeoutMs: Number(row?.lock),
      statementTimeoutMs: Number(row?.statement),
    };
  } finally {
    await client.end();
  }
}

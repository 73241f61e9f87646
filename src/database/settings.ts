import { Client, type ClientConfig } from 'pg';
import { codeOf, messageOf } from '../errors/caught.ts';
import { StartupError } from '../errors/startup-error.ts';

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

/** The server's own limits for each session, and the isolation level; a database or a role can have others. */
export function sessionSettings(config: DatabaseConfig): SessionSettings {
  return {
    lock_timeout: config.LOCK_TIMEOUT_MS,
    statement_timeout: config.STATEMENT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: config.IDLE_IN_TRANSACTION_TIMEOUT_MS,
    options: [
      `-c default_transaction_isolation=${config.ISOLATION_LEVEL.replaceAll(' ', '\\ ')}`,
      ...KEEPALIVE.map((setting) => `-c ${setting}`),
    ].join(' '),
  };
}

/**
 * Connects once and finds out whether sessions there can be given settings. A pooler that hands out sessions by the
 * transaction (PgBouncer) refuses them, or ignores them: then they have to be set on the role.
 *
 * @param warn told what has to be set there
 * @returns true where settings are refused, so that none may be sent
 * @throws {StartupError} when the isolation level that was asked for cannot be had
 * @throws whatever connecting threw
 */
export async function refusesSettings(
  databaseUrl: string,
  config: DatabaseConfig,
  warn: (message: string) => void,
): Promise<boolean> {
  let refused = false;
  const seen = await currentSettings(databaseUrl, config, sessionSettings(config)).catch((error: unknown) => {
    refused = codeOf(error) === '08P01' && messageOf(error).includes('startup parameter');
    if (!refused) throw error;
    return currentSettings(databaseUrl, config, {});
  });
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
  return refused;
}

async function currentSettings(connectionString: string, config: DatabaseConfig, settings: SessionSettings) {
  const connectionTimeoutMillis = config.POOL_ACQUIRE_TIMEOUT_MS;
  const client = new Client({
    connectionString,
    connectionTimeoutMillis,
    query_timeout: connectionTimeoutMillis,
    ...settings,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ isolation: string; lock: string; statement: string }>(
      `select current_setting('default_transaction_isolation') as isolation,
              extract(epoch from current_setting('lock_timeout')::interval) * 1000 as lock,
              extract(epoch from current_setting('statement_timeout')::interval) * 1000 as statement`,
    );
    const [row] = rows;
    return {
      isolation: row?.isolation,
      lockTimeoutMs: Number(row?.lock),
      statementTimeoutMs: Number(row?.statement),
    };
  } finally {
    await client.end();
  }
}

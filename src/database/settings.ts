import { Client, type ClientConfig } from 'pg';
import { codeOf } from '../errors/caught.ts';
import { StartupError } from '../errors/startup-error.ts';
import { type Driver, driverFor } from './driver.ts';
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

/**
 * For counters: their statements name every schema, and no plan that was made for an empty table scans it when it has
 * grown. (A prepared plan is kept until the statistics change; autovacuum looks at them once a minute.) One plan suits all
 * values; without the last setting, some statements are planned again each time, which takes longer than running them.
 */
export const COUNTER_SETTINGS = [
  'search_path=pg_catalog',
  'enable_seqscan=off',
  'enable_hashjoin=off',
  'enable_mergejoin=off',
  'plan_cache_mode=force_generic_plan',
];

/** What a probe has found out about the sessions. */
export interface SessionKind {
  /** Whether settings are refused, as by a pooler in transaction mode, so that none may be sent. */
  refused: boolean;
  /** Whether sessions had the settings: otherwise a pooler ignores them, and a session may be shared with others. */
  applied: boolean;
  /** The value for synchronous_commit: that of the role or the database, but `on` instead of `off`. */
  synchronousCommit: string;
}

/**
 * The time limits of each session, its isolation level, and its synchronous_commit. They override the settings of the
 * database and the role.
 */
export function sessionSettings(
  config: DatabaseConfig,
  synchronousCommit?: string,
  more: readonly string[] = [],
): SessionSettings {
  return {
    lock_timeout: config.LOCK_TIMEOUT_MS,
    statement_timeout: config.STATEMENT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: config.IDLE_IN_TRANSACTION_TIMEOUT_MS,
    options: [
      `-c default_transaction_isolation=${config.ISOLATION_LEVEL.replaceAll(' ', '\\ ')}`,
      ...(synchronousCommit ? [`-c synchronous_commit=${synchronousCommit}`] : []),
      // Needed for the warning that no standby has confirmed a commit.
      '-c client_min_messages=warning',
      ...[...KEEPALIVE, ...more].map((setting) => `-c ${setting}`),
    ].join(' '),
  };
}

/** How to connect: the options of the driver, and its client. */
type Connection = ClientConfig & { Client?: Driver['Client'] | undefined };

/**
 * Connects once and finds out whether sessions accept settings. A pooler in transaction mode (PgBouncer, RDS Proxy) refuses
 * or ignores them; then they have to be set on the role.
 *
 * @param connection an address, or how to connect
 * @param warn called with the settings that the role needs
 * @throws {StartupError} when sessions do not get the configured isolation level, or the encoding is not suitable
 * @throws {ConnectionError} `read_only` when the server accepts no writes
 * @throws the error of connecting
 */
export async function probeSessions(
  connection: string | ClientConfig,
  config: DatabaseConfig,
  warn: (message: string) => void,
): Promise<SessionKind> {
  const driver: Connection = typeof connection === 'string' ? driverFor(connection) : connection;
  const settings = sessionSettings(config, undefined, COUNTER_SETTINGS);
  const wanted = { ...settings, options: [driver.options, settings.options].filter(Boolean).join(' ') };
  let refused = false;
  const seen = await currentSettings(driver, config, wanted).catch(async (error: unknown) => {
    if (!mayRefuseSettings(error)) throw error;
    const plain = await currentSettings(driver, config, {}).catch(() => {
      throw error;
    });
    refused = true;
    return plain;
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
  const limited =
    seen.lockTimeoutMs === config.LOCK_TIMEOUT_MS && seen.statementTimeoutMs === config.STATEMENT_TIMEOUT_MS;
  if (!limited) {
    warn(
      'the timeouts for locks, statements and idle transactions are not applied, probably because a pooler does not forward them: set them ' +
        'on the role (alter role … set lock_timeout = …, statement_timeout, idle_in_transaction_session_timeout)',
    );
  }
  const { synchronousCommit } = seen;
  return {
    refused,
    applied: !refused && limited && !seen.scans,
    synchronousCommit: synchronousCommit === 'off' ? 'on' : synchronousCommit,
  };
}

/**
 * Whether the server, or a pooler, may have refused the settings. Each has a code of its own for that (PgBouncer 08P01, RDS
 * Proxy 0A000), so only the codes that have other causes are excluded: of authentication (28), of an unknown database (3D),
 * of resources (53), and of a server that starts or stops (57).
 */
const mayRefuseSettings = (error: unknown): boolean => {
  const code = codeOf(error) ?? '';
  return /^[0-9A-Z]{5}$/.test(code) && !/^(28|3D|53|57)/.test(code);
};

async function currentSettings(
  { Client: ClientClass = Client, ...connection }: Connection,
  config: DatabaseConfig,
  settings: SessionSettings,
) {
  const connectionTimeoutMillis = config.POOL_ACQUIRE_TIMEOUT_MS;
  const client = new ClientClass({
    ...connection,
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
      scans: string;
      synchronous: string | null;
      encoding: string;
      read_only: string;
    }>(
      // As text: an application may have configured the driver's parsers.
      `select current_setting('default_transaction_isolation') as isolation,
              (extract(epoch from current_setting('lock_timeout')::interval) * 1000)::bigint::text as lock,
              (extract(epoch from current_setting('statement_timeout')::interval) * 1000)::bigint::text as statement,
              current_setting('enable_seqscan') as scans,
              current_setting('synchronous_commit', true) as synchronous,
              current_setting('server_encoding') as encoding,
              current_setting('transaction_read_only') as read_only`,
    );
    const [row] = rows;
    if (!row) throw new TypeError('no answer');
    return {
      isolation: row.isolation,
      synchronousCommit: row.synchronous ?? 'on',
      encoding: row.encoding,
      readOnly: row.read_only === 'on',
      scans: row.scans === 'on',
      lockTimeoutMs: Number(row.lock),
      statementTimeoutMs: Number(row.statement),
    };
  } finally {
    await client.end();
  }
}

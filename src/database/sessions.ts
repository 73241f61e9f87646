import { AsyncLocalStorage } from 'node:async_hooks';
import type { PostgresPool, PostgresPoolClient } from 'kysely';
import type { Pool, PoolClient, QueryResult, QueryResultRow } from 'pg';
import { codeOf, messageOf } from '../errors/caught.ts';
import { ConnectionError, type Failure } from './failure.ts';

/** One statement as the wire saw it. */
export interface Statement {
  sql: string;
  /** When it was sent and answered, by `performance.now()`. */
  startedAt: number;
  endedAt: number;
  /** The first row that came back, if any. */
  row?: Record<string, unknown> | undefined;
  /** Rows returned or written. */
  rowCount?: number | null;
  error?: unknown;
}

/** One backend for as long as a piece of work lasts. */
export interface Session {
  /** The process id of the backend, as pg_stat_activity names it. */
  readonly backendPid: number;
}

/** A statement with a name, under which each connection keeps its plan. One name, one text. */
export interface PreparedStatement {
  name: string;
  text: string;
  values: readonly unknown[];
}

type Listener = (statement: Statement) => void;

type Send = (sql: string, parameters: readonly unknown[], name?: string) => Promise<QueryResult>;

/** A connection as Kysely, underneath MikroORM, uses it; and as `Sessions.query` does. */
type Connection = PostgresPoolClient & { release(): void; send: Send };

/**
 * The driver's pool as MikroORM sees it, with two things added:
 * - inside `withSession`, everything that MikroORM does in that asynchronous context goes to one backend, so that
 *   code written as usual (an EntityManager, a transaction for each increment) can be watched as a session;
 * - an error of a connection says whether what was in flight can have been applied, and such a connection does
 *   not go back to the pool, nor does one that was left inside a transaction.
 */
export class Sessions implements PostgresPool {
  readonly #pool: Pool;
  readonly #pinned = new AsyncLocalStorage<Connection>();
  #prepares: boolean;

  /** @param prepares whether a connection is one session of the server, so that it remembers what was prepared */
  constructor(pool: Pool, prepares = true) {
    this.#pool = pool;
    this.#prepares = prepares;
  }

  get options(): object {
    return this.#pool.options;
  }

  /** Connections that are open, that are free, and how many wait for one. */
  get load(): { total: number; idle: number; waiting: number } {
    const { totalCount: total, idleCount: idle, waitingCount: waiting } = this.#pool;
    return { total, idle, waiting };
  }

  /** @throws {ConnectionError} `busy` when none came free in time, `unavailable` when none could be made */
  async connect(): Promise<Connection> {
    return this.#pinned.getStore() ?? guarded(await this.#acquire());
  }

  end(): Promise<void> {
    return this.#pool.end();
  }

  /**
   * Runs `work` with one backend to itself; statements that it sends in parallel queue up there.
   *
   * @param onStatement told of each statement after it was answered
   * @throws {ConnectionError} as `connect`
   */
  async withSession<T>(work: (session: Session) => Promise<T>, onStatement?: Listener): Promise<T> {
    const client = await this.#acquire();
    const connection = guarded(client, onStatement);
    let over = false;
    const send: Send = (...statement) =>
      over ? Promise.reject(new Error('the session is over')) : connection.send(...statement);
    try {
      const pinned: Connection = {
        ...connection,
        query: send as unknown as Connection['query'],
        send,
        release: () => {},
      };
      return await this.#pinned.run(pinned, work, { backendPid: connection.processID ?? 0 });
    } finally {
      // What `work` did not wait for may not go on where somebody else works next.
      over = true;
      connection.release();
    }
  }

  /**
   * Runs one statement without the ORM: a transaction of its own, planned once on each connection.
   *
   * @throws {ConnectionError} as `connect`; `lost` or `unknown` when the connection broke
   */
  async query<Row extends QueryResultRow>(statement: PreparedStatement): Promise<QueryResult<Row>> {
    const { text, values } = statement;
    const connection = await this.connect();
    const name = this.#prepares ? statement.name : undefined;
    try {
      return await connection.send(text, values, name);
    } catch (error) {
      if (name === undefined || !NOT_PREPARED.test(codeOf(error) ?? '')) throw error;
      // A pooler hands out sessions by the transaction, and did not refuse our settings. Nothing was run yet; others
      // may be about to find the same.
      this.#prepares = false;
    } finally {
      connection.release();
    }
    return this.query(statement);
  }

  async #acquire(): Promise<PoolClient> {
    try {
      return await this.#pool.connect();
    } catch (error) {
      const message = messageOf(error);
      if (message !== 'timeout exceeded when trying to connect') {
        throw new ConnectionError('unavailable', 'cannot connect to the database', error);
      }
      throw new ConnectionError('busy', 'no connection came free in time', error);
    }
  }
}

const connections = new WeakMap<PoolClient, Connection>();

/** Kysely keeps what it knows of a connection by identity, so one that nobody listens to is wrapped once. */
function guarded(client: PoolClient, onStatement?: Listener): Connection {
  const known = onStatement ? undefined : connections.get(client);
  const connection = known ?? wrap(client, onStatement);
  if (!onStatement) connections.set(client, connection);
  return connection;
}

function wrap(client: PoolClient, onStatement?: Listener): Connection {
  let broken: Error | undefined;
  let retired = false;
  let waiting = 0;
  let last: Promise<unknown> = Promise.resolve();
  const send: Send = async (sql, parameters, name) => {
    if (broken) throw new ConnectionError('lost', CONNECTION_LOST, broken);
    const status = client.getTransactionStatus();
    const startedAt = performance.now();
    const tell = (about: Pick<Statement, 'row' | 'rowCount' | 'error'>) =>
      onStatement?.({ sql, startedAt, endedAt: performance.now(), ...about });
    try {
      const values = [...parameters];
      const result = await client.query(
        name === undefined ? { text: sql, values } : { name, text: sql, values },
      );
      tell({ row: result.rows?.[0], rowCount: result.rowCount });
      return result;
    } catch (error) {
      const reported = isServerError(error) ? error : lost(error, status, sql);
      if (reported !== error) {
        broken = error as Error;
        // At once: Kysely gives a connection back only after a begin, commit or rollback that worked.
        client.release(broken);
      }
      retired ||= codeOf(error) === READ_ONLY;
      tell({ error: reported });
      throw reported;
    }
  };
  // One after another, so that each knows the state of the transaction that it was sent in.
  const query: Send = async (sql, parameters, name) => {
    waiting += 1;
    const sent = last.then(() => send(sql, parameters, name));
    last = sent.catch(() => {});
    try {
      const result = await sent;
      if (result.command !== 'ROLLBACK' || !isCommit.test(sql)) return result;
      // So ends a transaction in which a statement failed and nobody minded. Kysely and MikroORM do not look.
      throw new Error('the commit was answered with a rollback');
    } finally {
      waiting -= 1;
    }
  };
  return {
    processID: (client as unknown as { processID: number }).processID,
    // Kysely also streams through cursors; MikroORM does so only when asked to, and nobody asks here.
    query: query as unknown as Connection['query'],
    send: query,
    release() {
      if (!broken) client.release(retired || waiting > 0 || client.getTransactionStatus() !== 'I');
    },
  };
}

const CONNECTION_LOST = 'the connection to the database was lost';

/** invalid_sql_statement_name, duplicate_prepared_statement */
const NOT_PREPARED = /^(26000|42P05)$/;

/** A server that was a standby a moment ago leaves sessions behind that stay read-only: those are not kept. */
const READ_ONLY = '25006';

/**
 * An answer of the server that leaves the session as it is, unlike its last words. Told by the code too, because
 * the severity comes in the server's language.
 */
function isServerError(error: unknown): boolean {
  const { severity, code = '' } = error as { severity?: string; code?: string };
  return severity !== undefined && !/^(FATAL|PANIC)$/.test(severity) && !/^(08|57P0|25P0[34])/.test(code);
}

const isCommit = /^\s*commit\b/i;

/** What cannot have changed anything, so that its loss leaves nothing unknown. */
const harmless = /^\s*(select|begin|start transaction|rollback|savepoint|release|set|show)\b/i;

function lost(error: unknown, statusBefore: string | null, sql: string): ConnectionError {
  const uncommitted = statusBefore !== 'I' && !isCommit.test(sql);
  const failure: Failure = uncommitted || harmless.test(sql) ? 'lost' : 'unknown';
  return new ConnectionError(failure, CONNECTION_LOST, error);
}

import { AsyncLocalStorage } from 'node:async_hooks';
import type { PostgresPool, PostgresPoolClient } from 'kysely';
import type { Pool, PoolClient, QueryResult, QueryResultRow } from 'pg';
import { codeOf, messageOf } from '../errors/caught.ts';
import { isSilence } from './connection-loss.ts';
import { ConnectionError, isReadOnly } from './failure.ts';
import { type Connection, GuardedConnection, type PreparedStatement } from './guarded-connection.ts';
import type { Observe } from './observed.ts';
import { PinnedConnection } from './pinned-connection.ts';

/** One backend, for the duration of a piece of work. */
interface Session {
  /** The process id of the backend, as in pg_stat_activity. */
  readonly backendPid: number;
}

/** Sends statements together on the connection of a transaction: see `GuardedConnection.queryAll`. */
export type Send = (statements: readonly PreparedStatement[]) => Promise<QueryResult[]>;

interface SessionsOptions {
  /** Whether a connection always has the same session of the server, so that prepared statements remain. */
  prepares?: boolean;
  /** Called with every statement that is sent outside an observed session. */
  observe?: Observe;
  /** Called with each error of the server. */
  onError?: ((error: unknown) => void) | undefined;
}

/** invalid_sql_statement_name, duplicate_prepared_statement: the server lacks the statement, or has it already. */
const NOT_PREPARED = /^(26000|42P05)$/;

/**
 * The driver's pool as MikroORM sees it, with guarded connections. Inside `withSession`, everything that MikroORM does
 * in that asynchronous context goes to one backend, so that code written as usual (an EntityManager, a transaction for
 * each increment) can be watched as a session.
 */
export class Sessions implements PostgresPool {
  readonly #pool: Pool;
  readonly #observe: Observe | undefined;
  readonly #onError: ((error: unknown) => void) | undefined;
  /** One for each connection of the driver, because Kysely identifies connections by their object. */
  readonly #guarded = new WeakMap<PoolClient, GuardedConnection>();
  readonly #pinned = new AsyncLocalStorage<PinnedConnection>();
  #prepares: boolean;
  readonly #sharing = new Set<Sessions>();
  readonly #lent = new Set<GuardedConnection>();
  #ended: Promise<void> | undefined;
  /** How often the pool was emptied: a connection that was opened before the last time is not kept. */
  #emptied = 0;

  constructor(pool: Pool, { prepares = true, observe, onError }: SessionsOptions = {}) {
    this.#pool = pool;
    this.#prepares = prepares;
    this.#observe = observe;
    this.#onError = onError;
  }

  get options(): object {
    return this.#pool.options;
  }

  /** The numbers of open connections, of idle ones, and of callers that wait for one. */
  get load(): { total: number; idle: number; waiting: number } {
    const { totalCount: total, idleCount: idle, waitingCount: waiting } = this.#pool;
    return { total, idle, waiting };
  }

  /** @throws {ConnectionError} `busy` when none was free in time; otherwise `unavailable` or `read_only` */
  async connect(): Promise<PostgresPoolClient> {
    // Kysely also streams through cursors; MikroORM does so only when asked to, which is never the case here.
    return (this.#pinned.getStore() ?? (await this.#lend())) as unknown as PostgresPoolClient;
  }

  /** Closes the connections; further calls wait for the same end. */
  end(): Promise<void> {
    this.#ended ??= this.#pool.end();
    return this.#ended;
  }

  /** Closes all connections that are in use. The statements in progress fail at once; their outcomes are unknown. */
  abandon(): void {
    for (const connection of this.#lent) connection.abandon();
  }

  /** Lets both empty their pools when one of them detects a failure of the server. */
  shareServerWith(other: Sessions): void {
    this.#sharing.add(other);
    other.#sharing.add(this);
  }

  /**
   * Closes all current connections, also those of pools that share the server: idle ones at once, the others when they are
   * released. If one of them is to a server that no longer accepts writes or has stopped answering, so are the others, and
   * reads from them may not see acknowledged writes.
   */
  empty(): void {
    for (const sessions of [this, ...this.#sharing]) sessions.#emptyOwn();
  }

  #emptyOwn(): void {
    this.#emptied += 1;
    // The driver's pool lends idle connections first, in the order of the calls.
    for (let idle = this.#pool.idleCount; idle > 0; idle -= 1)
      this.#pool.connect().then(
        (client) => client.release(true),
        () => {},
      );
  }

  /**
   * Runs `work` on one backend that nothing else uses; statements that `work` sends in parallel are queued.
   *
   * @param observe called with each statement of the session
   * @throws {ConnectionError} as `connect`
   */
  async withSession<T>(work: (session: Session) => Promise<T>, observe?: Observe): Promise<T> {
    const connection = await this.#lend();
    if (observe) connection.observe = observe;
    const pinned = new PinnedConnection(connection);
    try {
      return await this.#pinned.run(pinned, work, { backendPid: connection.processID });
    } finally {
      pinned.end();
    }
  }

  /**
   * Runs one statement, without the ORM, as a separate transaction. If it has a name, it is planned once on each connection.
   *
   * @throws {ConnectionError} as `connect`; `lost` or `unknown` when the connection broke
   */
  async query<R extends QueryResultRow>(statement: PreparedStatement): Promise<QueryResult<R>> {
    const { text, values } = statement;
    const name = this.#prepares ? statement.name : '';
    const connection: Connection = this.#pinned.getStore() ?? (await this.#lend());
    try {
      return await connection.query(text, values, name);
    } catch (error) {
      if (name === '' || !this.#isNotPrepared(error)) throw error;
    } finally {
      connection.release();
    }
    return this.query(statement);
  }

  /**
   * Runs `work` on one connection, for a transaction that it begins and ends itself; if it does not end it, it is rolled
   * back.
   *
   * @throws {ConnectionError} as `query`; `lost` also if a pooler has lost a prepared statement
   * @throws what `work` throws
   */
  async transaction<T>(work: (send: Send) => Promise<T>): Promise<T> {
    const connection = await this.#lend();
    try {
      return await work((statements) =>
        connection.queryAll(
          this.#prepares ? statements : statements.map((statement) => ({ ...statement, name: '' })),
        ),
      );
    } catch (error) {
      if (!this.#isNotPrepared(error)) throw error;
      throw new ConnectionError('lost', 'a statement was not prepared', error);
    } finally {
      // An error of the rollback breaks the connection, which then does not return to the pool.
      if (connection.inTransaction) await connection.query('rollback', []).catch(() => {});
      connection.release();
    }
  }

  /**
   * Whether there is a pooler in transaction mode that did not refuse our settings. The statement was not run, and no
   * statement is prepared from now on. Other statements may fail in the same way at the same time.
   */
  #isNotPrepared(error: unknown): boolean {
    if (!NOT_PREPARED.test(codeOf(error) ?? '')) return false;
    this.#prepares = false;
    return true;
  }

  async #lend(): Promise<GuardedConnection> {
    const client = await this.#acquire();
    let connection = this.#guarded.get(client);
    if (!connection) this.#guarded.set(client, (connection = this.#guard(client)));
    this.#lent.add(connection);
    connection.observe = this.#observe;
    return connection;
  }

  #guard(client: PoolClient): GuardedConnection {
    const emptiedBefore = this.#emptied;
    const connection = new GuardedConnection(client, {
      keeps: () => emptiedBefore === this.#emptied,
      onReleased: () => this.#lent.delete(connection),
      onError: (error) => {
        // The first connection that detects it empties the pool for all.
        if ((isReadOnly(error) || isSilence(error)) && emptiedBefore === this.#emptied) this.empty();
        this.#onError?.(error);
      },
    });
    return connection;
  }

  async #acquire(): Promise<PoolClient> {
    try {
      return await this.#pool.connect();
    } catch (error) {
      if (error instanceof ConnectionError) throw error;
      const message = messageOf(error);
      if (message !== 'timeout exceeded when trying to connect') {
        throw new ConnectionError('unavailable', 'cannot connect to the database', error);
      }
      throw new ConnectionError('busy', 'no connection came free in time', error);
    }
  }
}

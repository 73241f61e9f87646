import { once } from 'node:events';
import type { Pool, PoolClient, QueryResult } from 'pg';
import { connectionLost, isCommit, isServerError, neverSent } from './connection-loss.ts';
import { ConnectionError } from './failure.ts';
import { backendPidOf, type Observe, observed } from './observed.ts';

export interface PreparedStatement {
  /** The name of the prepared statement, always with the same text. Empty: planned each time, for its values. */
  name: string;
  text: string;
  values: readonly unknown[];
}

/** A connection of a pool; `release` returns it when the work is done. */
export interface Connection {
  /** The process id of the backend, as in pg_stat_activity. */
  readonly processID: number;
  /** @param name of the prepared statement; a name must always have the same text */
  query(sql: string, values: readonly unknown[], name?: string): Promise<QueryResult>;
  release(): void;
}

/** The owner of a connection. */
export interface ConnectionOwner {
  /** Called with each error of the server. */
  onError(error: unknown): void;
  /** Called when the connection leaves its user, also if it is broken. */
  onReleased(): void;
  /** Whether the pool still wants the connection. */
  keeps(): boolean;
}

/** The server's function that waits for synchronous standbys; its name is the same in every language. */
const WAITS_FOR_STANDBY = 'SyncRepWaitForLSN';

/** What a connection of the driver has reported besides the results of its statements. */
interface Reports {
  /** The server's warning, if the last statement was committed without the confirmation of a standby. */
  unconfirmed: unknown;
}

const reports = new WeakMap<Pick<PoolClient, 'on'>, Reports>();

/**
 * Listens to a connection, once. Without a listener, the error of a broken connection ends the process. The error is not
 * lost: the next statement fails with it, or says that the connection cannot be used.
 */
function listenTo(client: Pick<PoolClient, 'on'>): Reports {
  const known = reports.get(client);
  if (known) return known;
  const own: Reports = { unconfirmed: undefined };
  reports.set(client, own);
  client.on('error', () => {});
  client.on('notice', (notice) => {
    if (notice.routine === WAITS_FOR_STANDBY) own.unconfirmed = notice;
  });
  return own;
}

/** How long the end of an answer may take after its error, in milliseconds. */
const READY_MS_MAX = 1000;

/**
 * Waits until the server is ready for the next statement. The driver reports an error before that, and in pipeline mode it
 * sends the next statement at once. A pooler would take the end of the failed statement for that of the next one, and
 * send the rest of it to another server connection.
 *
 * @returns false: the server is not ready in time
 */
async function isReady(client: PoolClient): Promise<boolean> {
  const { readyForQuery } = client as unknown as { readyForQuery: boolean };
  if (readyForQuery) return true;
  const waiting = new AbortController();
  const { signal } = waiting;
  const timer = setTimeout(() => waiting.abort(), READY_MS_MAX);
  try {
    await Promise.race([once(client, 'drain', { signal }), once(client, 'end', { signal })]);
    return true;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
    waiting.abort();
  }
}

/** Listens to a pool and to each of its connections. @param warn called when an idle connection breaks */
export function listenToPool(pool: Pool, warn: (message: string) => void): void {
  // Before the pool lends a new connection: the packet that accepts it can also contain the error that ends it.
  pool.on('connect', listenTo);
  // The pool discards a connection that breaks while idle. Without a listener, the event would end the process.
  pool.on('error', ({ message }) => {
    // While the pool ends, an embedded server may shut down before the connections are closed.
    if (!pool.ending) warn(`an idle connection to the database broke: ${message}`);
  });
}

/**
 * A connection of the driver's pool, with safeguards that the driver leaves to its user:
 * - Statements are sent one after another, so that the state of the transaction is known when each one is sent.
 * - When the connection breaks, the error says whether the statement may have been applied, and the connection leaves
 *   the pool at once: Kysely returns a connection only after a begin, commit or rollback that succeeded.
 * - A commit that was answered with a rollback is an error, and one that no synchronous standby confirmed is `unknown`.
 * - A connection that is busy, inside a transaction, or no longer wanted does not return to the pool.
 */
export class GuardedConnection implements Connection {
  readonly processID: number;
  /** Observes the statements until the connection is lent again. */
  observe: Observe | undefined;
  readonly #client: PoolClient;
  readonly #pool: ConnectionOwner;
  readonly #waiting: (() => void)[] = [];
  #busy = false;
  #broken: unknown;
  readonly #reports: Reports;

  constructor(client: PoolClient, pool: ConnectionOwner) {
    this.#client = client;
    this.#pool = pool;
    this.processID = backendPidOf(client);
    this.#reports = listenTo(client);
  }

  /** @throws {ConnectionError} `lost` or `unknown`: see `Failure` */
  query(sql: string, values: readonly unknown[], name?: string): Promise<QueryResult> {
    return this.#inTurn(() => this.#send(sql, values, name));
  }

  /**
   * Sends statements together: with a driver in pipeline mode, they take one round trip. After an error, those that follow
   * fail as well if they are in a transaction, and a commit rolls back.
   *
   * @throws the first error; {ConnectionError} `lost` or `unknown`: see `Failure`
   */
  queryAll(statements: readonly PreparedStatement[]): Promise<QueryResult[]> {
    return this.#inTurn(() => this.#sendAll(statements));
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#busy) await new Promise<void>((admit) => this.#waiting.push(admit));
    this.#busy = true;
    try {
      return await work();
    } finally {
      const admit = this.#waiting.shift();
      if (admit) admit();
      else this.#busy = false;
    }
  }

  release(): void {
    if (this.#broken) return;
    this.#pool.onReleased();
    this.#client.release(!this.#pool.keeps() || this.#busy || this.inTransaction);
  }

  /** Whether the last answer left the session inside a transaction. */
  get inTransaction(): boolean {
    return this.#client.getTransactionStatus() !== 'I';
  }

  /** Closes the connection. A statement in progress fails at once; whether it is applied is unknown. */
  abandon(): void {
    this.#breakWith(new Error('the connection was closed while it was in use'));
  }

  #breakWith(error: Error): void {
    if (!this.#broken) {
      this.#pool.onReleased();
      this.#client.release(error);
      // In pipeline mode, the driver would first wait for the answers to the statements in progress.
      this.#client.connection.stream.destroy();
    }
    this.#broken = error;
  }

  async #send(sql: string, values: readonly unknown[], name = ''): Promise<QueryResult> {
    const status = this.#prepareToSend();
    let result: QueryResult;
    try {
      const statement = { name, text: sql, values: values as unknown[] };
      result = await observed(this.observe, sql, this.processID, () => this.#client.query(statement));
    } catch (error) {
      throw await this.#classify(error, sql, status);
    }
    this.#assertConfirmed(sql, result);
    return result;
  }

  async #sendAll(statements: readonly PreparedStatement[]): Promise<QueryResult[]> {
    const status = this.#prepareToSend();
    const sent = statements.map(({ name, text, values }) =>
      // Without values, the simple protocol is used, in which a text may have several statements.
      this.#client.query(values.length === 0 ? { text } : { name, text, values: values as unknown[] }),
    );
    const answers = await Promise.allSettled(sent);
    const commit = statements.find(({ text }) => isCommit(text));
    const failed = answers.find(({ status: kind }) => kind === 'rejected');
    if (failed)
      throw await this.#classify(
        (failed as PromiseRejectedResult).reason,
        (commit ?? statements[0])?.text ?? '',
        status,
      );
    const results = answers.map((answer) => (answer as PromiseFulfilledResult<QueryResult>).value);
    for (const [i, { text }] of statements.entries()) this.#assertConfirmed(text, results[i]);
    return results;
  }

  /** @returns the status of the session: `I` outside a transaction */
  #prepareToSend(): string | null {
    if (this.#broken) throw neverSent(this.#broken);
    this.#reports.unconfirmed = undefined;
    return this.#client.getTransactionStatus();
  }

  #assertConfirmed(sql: string, result: QueryResult | undefined): void {
    if (this.#reports.unconfirmed) {
      const message = 'no synchronous standby has confirmed the commit';
      throw new ConnectionError('unknown', message, this.#reports.unconfirmed);
    }
    // This happens if a failed statement inside the transaction was ignored. Kysely and MikroORM do not check it.
    if (result?.command === 'ROLLBACK' && isCommit(sql)) {
      throw new Error('the commit was answered with a rollback');
    }
  }

  async #classify(error: unknown, sql: string, status: string | null): Promise<unknown> {
    this.#pool.onError(error);
    if (isServerError(error)) {
      if (!(await isReady(this.#client))) this.#breakWith(new Error('the server did not end its answer'));
      return error;
    }
    const lost = connectionLost(error, sql, status);
    this.#breakWith(lost);
    return lost;
  }
}

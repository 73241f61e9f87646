import type { Pool, PoolClient } from 'pg';
import { ConnectionError } from '../database/failure.ts';
import { ignoreErrors } from '../database/guarded-connection.ts';
import type { ConnectionPool } from '../database/sessions.ts';

/** The pool of an application. It is neither reconfigured nor ended here; the wait for a connection has a time limit. */
export class BorrowedPool implements ConnectionPool {
  readonly #pool: Pool;
  readonly #waitMsMax: number;

  /** @param waitMsMax how long to wait for a connection, in milliseconds */
  constructor(pool: Pool, waitMsMax: number, warn: (message: string) => void) {
    this.#pool = pool;
    this.#waitMsMax = waitMsMax;
    // Before the pool lends a new connection: the packet that accepts it can also contain the error that ends it.
    pool.on('connect', ignoreErrors);
    // The pool discards a connection that breaks while idle. Without a listener, the event would end the process.
    pool.on('error', (error) => {
      if (!pool.ending) warn(`an idle connection to the database broke: ${error.message}`);
    });
  }

  get options(): object {
    return this.#pool.options;
  }

  get totalCount(): number {
    return this.#pool.totalCount;
  }

  get idleCount(): number {
    return this.#pool.idleCount;
  }

  get waitingCount(): number {
    return this.#pool.waitingCount;
  }

  /** @throws {ConnectionError} `busy` when no connection came free in time */
  async connect(): Promise<PoolClient> {
    const late = Promise.withResolvers<never>();
    const connecting = this.#pool.connect();
    const timer = setTimeout(() => {
      late.reject(new ConnectionError('busy', 'no connection came free in time'));
      connecting.then(
        (client) => client.release(),
        () => {},
      );
    }, this.#waitMsMax);
    try {
      return await Promise.race([connecting, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async end(): Promise<void> {
    // The application ends its pool.
  }
}

import type { Pool, PoolClient } from 'pg';
import { ConnectionError } from '../database/failure.ts';
import { listenToPool } from '../database/guarded-connection.ts';
import type { ConnectionPool } from '../database/sessions.ts';

/** The pool of an application. It is neither reconfigured nor ended here; the wait for a connection has a time limit. */
export class BorrowedPool implements ConnectionPool {
  readonly #pool: Pool;
  readonly #waitMsMax: number;
  readonly #warn: (message: string) => void;

  /** @param waitMsMax how long to wait for a connection, in milliseconds */
  constructor(pool: Pool, waitMsMax: number, warn: (message: string) => void) {
    this.#pool = pool;
    this.#waitMsMax = waitMsMax;
    // A function of its own, since several counters may share `warn`.
    this.#warn = (message) => warn(message);
    warningsOf(pool).add(this.#warn);
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

  /** Leaves the pool to the application, which ends it. */
  async end(): Promise<void> {
    warningsOf(this.#pool).delete(this.#warn);
  }
}

type Warnings = Set<(message: string) => void>;

const warnings = new WeakMap<Pool, Warnings>();

/** The functions that are told of broken idle connections of a pool. It has one listener, however many counters use it. */
function warningsOf(pool: Pool): Warnings {
  const known = warnings.get(pool);
  if (known) return known;
  const own: Warnings = new Set();
  warnings.set(pool, own);
  listenToPool(pool, (message) => {
    for (const warn of own) warn(message);
  });
  return own;
}

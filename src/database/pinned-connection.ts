import type { QueryResult } from 'pg';
import type { Connection } from './guarded-connection.ts';

/** A connection that one piece of work keeps, even if parts of it release it. */
export class PinnedConnection implements Connection {
  readonly processID: number;
  readonly #connection: Connection;
  #ended = false;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.processID = connection.processID;
  }

  async query(...statement: Parameters<Connection['query']>): Promise<QueryResult> {
    // Statements that the work did not await must not run on a connection that other work is using.
    if (this.#ended) throw new Error('the session is over');
    return this.#connection.query(...statement);
  }

  release(): void {
    // Not before the work is over.
  }

  end(): void {
    this.#ended = true;
    this.#connection.release();
  }
}

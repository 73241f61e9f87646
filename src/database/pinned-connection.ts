import type { QueryResult } from 'pg';
import type { Connection } from './guarded-connection.ts';

/** A connection that one piece of work keeps, however often parts of it give it back. */
export class PinnedConnection implements Connection {
  readonly processID: number;
  readonly #connection: Connection;
  #over = false;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.processID = connection.processID;
  }

  async query(...statement: Parameters<Connection['query']>): Promise<QueryResult> {
    // What the work did not wait for must not go on where other work has begun.
    if (this.#over) throw new Error('the session is over');
    return this.#connection.query(...statement);
  }

  release(): void {
    // Not before the work is over.
  }

  end(): void {
    this.#over = true;
    this.#connection.release();
  }
}

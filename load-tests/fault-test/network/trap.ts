import type { WriterStatement } from './statements.ts';

/**
 * What a trap does to a statement of the writer:
 * - `cut before`: closes the connection when the server has answered the statements before it, and received nothing of it;
 *   the service receives none of these answers;
 * - `cut after`: closes the connection after the commit, before the service receives any of the answer (the answer is
 *   delivered if the server refuses the statement, or if all keys are known);
 * - `hold`: delays the statement, and those after it, until `release`;
 * - `hold sync`: delivers the statement without its end, so that the server runs it but does not commit;
 * - `hold answer`: lets the server commit, and delays the answer until `release`;
 * - `silence`: delays everything in both directions, from the statement on, until `release`;
 * - `watch`: only observes the statement.
 */
export type Trap = 'cut before' | 'cut after' | 'hold' | 'hold sync' | 'hold answer' | 'silence' | 'watch';

/** An intercepted statement. */
export interface Caught {
  statement: WriterStatement;
  /** The client port of the connection, as the server sees it. */
  clientPort: number | undefined;
  /** Resolves when the server has answered the statements that were sent before this one. */
  reached: Promise<void>;
  /** Resolves when the service closes the connection. */
  abandoned: Promise<void>;
  /** Resolves when the server closes the connection. */
  ended: Promise<void>;
  /** The result of `AnswerReader`; `cut`: the server did not receive the statement, or did not answer. */
  outcome: Promise<string>;
  /** Delivers what was held. */
  release: () => void;
  /** Closes the connection and discards what was held. */
  cut: () => void;
  /** Closes the service's side of the connection alone; the server's side stays open, with what is held, until `release`. */
  hangUp: () => void;
}

/** Whether a trap applies to a statement. */
export type Wanted = (statement: WriterStatement) => boolean;

/** A trap that is set, with the callback for the intercepted statement. */
export interface SetTrap {
  trap: Trap;
  wanted: Wanted;
  caught: (what: Caught) => void;
}

/** Any of these statements. */
export const doing =
  (...these: WriterStatement['does'][]): Wanted =>
  ({ does }) =>
    these.includes(does);

/** A statement that commits a batch. */
export const anyCommit: Wanted = doing('write', 'commit');

import type { WriterStatement } from './statements.ts';

/**
 * What a trap does to a statement of the writer:
 * - `cut before`: closes the connection before the server receives any of the statement;
 * - `cut after`: closes the connection after the commit, before the service receives any of the answer (the answer is
 *   delivered if the server refuses the statement, or if all keys are known);
 * - `hold`: delays the statement until `release`;
 * - `hold sync`: delivers the statement without its end, so that the server runs it but does not commit;
 * - `hold answer`: lets the server commit, and delays the answer until `release`;
 * - `watch`: only observes the statement.
 */
export type Trap = 'cut before' | 'cut after' | 'hold' | 'hold sync' | 'hold answer' | 'watch';

/** An intercepted statement. */
export interface Caught {
  statement: WriterStatement;
  /** The client port of the connection, as the server sees it. */
  clientPort: number | undefined;
  /** Resolves when the service closes the connection. */
  abandoned: Promise<void>;
  /** The result of `AnswerReader`; `cut`: the server did not receive the statement, or did not answer. */
  outcome: Promise<string>;
  /** Delivers what was held. */
  release: () => void;
  /** Closes the connection and discards what was held. */
  cut: () => void;
}

/** Whether a trap applies to a statement. */
export type Wanted = (statement: WriterStatement) => boolean;

/** A trap that is set, with the callback for the intercepted statement. */
export interface SetTrap {
  trap: Trap;
  wanted: Wanted;
  caught: (what: Caught) => void;
}

export const anyWrite: Wanted = ({ does }) => does === 'write';

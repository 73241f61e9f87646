import type { WriterStatement } from './statements.ts';

/**
 * What is to happen to a statement of the writer:
 * - `cut before`: its connection breaks before any of it reaches the server;
 * - `cut after`: it is committed, and the connection breaks before any of the answer reaches the service (one that the
 *   server refuses, or that finds its keys known, has its answer);
 * - `hold`: it is not run before `release`;
 * - `hold sync`: all of it but its end reaches the server, which has then run and not committed it;
 * - `hold answer`: it is committed, and no answer reaches the service before `release`;
 * - `watch`: nothing, it is only seen.
 */
export type Trap = 'cut before' | 'cut after' | 'hold' | 'hold sync' | 'hold answer' | 'watch';

/** A statement that went into a trap. */
export interface Caught {
  statement: WriterStatement;
  /** The port that the server sees it come from. */
  clientPort: number | undefined;
  /** When the service has given the connection up. */
  abandoned: Promise<void>;
  /** What the server said, as `AnswerReader` has it; `cut`: it never got there, or said nothing. */
  outcome: Promise<string>;
  /** Lets what was held go on, however late. */
  release: () => void;
  /** Breaks the connection; what was held is lost. */
  cut: () => void;
}

/** What a trap is set for. */
export type Wanted = (statement: WriterStatement) => boolean;

/** A trap that is set, and what is told of the statement that goes into it. */
export interface SetTrap {
  trap: Trap;
  wanted: Wanted;
  caught: (what: Caught) => void;
}

export const anyWrite: Wanted = ({ does }) => does === 'write';

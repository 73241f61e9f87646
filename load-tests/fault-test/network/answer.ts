import type { Message } from './messages.ts';

/** Parses the server's answer to one statement of the counters' writer. */
export class AnswerReader {
  #wrote = false;
  #command = '';
  #sqlState: string | undefined;

  /**
   * @returns what the answer says, when it is complete:
   *   - `committed`;
   *   - `nothing`: committed, but no counter was written;
   *   - `open`: the transaction goes on;
   *   - `rolled back`, instead of the commit that was requested;
   *   - a SQLSTATE
   */
  push({ type, bytes }: Message): string | undefined {
    // The first column of the row contains values. It is empty if keys were known or a number was closed.
    if (type === 'D') this.#wrote ||= bytes.readInt32BE(7) > 0;
    if (type === 'C') this.#command = bytes.toString('latin1', 5, bytes.length - 1);
    if (type === 'E') {
      const text = bytes.toString('latin1', 5);
      this.#sqlState ??= /\0C([0-9A-Z]{5})\0/.exec(text)?.[1] ?? 'XX000';
      // The server ends the session, so nothing follows.
      if (/\0VFATAL\0/.test(text)) return this.#sqlState;
    }
    // ReadyForQuery with the status of the transaction. Before this message, nothing is committed.
    return type === 'Z' ? (this.#sqlState ?? this.#result(bytes[5])) : undefined;
  }

  #result(status: number | undefined): string {
    if (status !== IDLE) return 'open';
    if (this.#command === 'ROLLBACK') return 'rolled back';
    return this.#wrote || this.#command === 'COMMIT' ? 'committed' : 'nothing';
  }
}

const IDLE = 'I'.charCodeAt(0);

import { MessageReader } from './messages.ts';

/** Parses the server's answer to a statement of the counters' writer. */
export class AnswerReader {
  readonly #reader = new MessageReader(false);
  #wrote = false;
  #sqlState: string | undefined;

  /** @returns `committed`, `nothing` if no counter was written, `open`, or a SQLSTATE; undefined: the answer is incomplete */
  push(chunk: Buffer): string | undefined {
    for (const { type, bytes } of this.#reader.push(chunk)) {
      // The first column of the row contains a name or values. It is empty if keys were known or a number was closed.
      if (type === 'D') this.#wrote ||= bytes.readInt32BE(7) > 0;
      if (type === 'E')
        this.#sqlState ??= /\0C([0-9A-Z]{5})\0/.exec(bytes.toString('latin1'))?.[1] ?? 'XX000';
      // ReadyForQuery with status idle: the transaction has ended. Before this message, nothing is committed.
      if (type === 'Z')
        return this.#sqlState ?? (bytes[5] !== IDLE ? 'open' : this.#wrote ? 'committed' : 'nothing');
    }
    return undefined;
  }
}

const IDLE = 'I'.charCodeAt(0);

import { MessageReader } from './messages.ts';

/** Reads what a server answers to a statement of the writer, to its end. */
export class AnswerReader {
  readonly #reader = new MessageReader(false);
  #wrote = false;
  #sqlState: string | undefined;

  /** @returns `committed`, `nothing` when no counter was written, or a SQLSTATE; undefined: not at its end yet */
  push(chunk: Buffer): string | undefined {
    for (const { type, bytes } of this.#reader.push(chunk)) {
      // A row with a first column: a name or values. Where keys were known, or a number was closed, it is empty.
      if (type === 'D') this.#wrote ||= bytes.readInt32BE(7) > 0;
      if (type === 'E')
        this.#sqlState ??= /\0C([0-9A-Z]{5})\0/.exec(bytes.toString('latin1'))?.[1] ?? 'XX000';
      // ReadyForQuery, and idle: the transaction is over. Before it, nothing has been committed.
      if (type === 'Z')
        return this.#sqlState ?? (bytes[5] !== IDLE ? 'open' : this.#wrote ? 'committed' : 'nothing');
    }
    return undefined;
  }
}

const IDLE = 'I'.charCodeAt(0);

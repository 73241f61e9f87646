/** One message of PostgreSQL's protocol. */
export interface Message {
  /** Its first byte as a letter; empty for the one that opens a connection, which has none. */
  type: string;
  /** All of it, as it was on the wire. */
  bytes: Buffer;
}

/** More than any message of ours: a stream that claims longer ones is not the protocol. */
const MESSAGE_BYTES_MAX = 64 * 2 ** 20;

/** Cuts a stream of bytes into messages. Source: PostgreSQL documentation, 54.7 "Message Formats". */
export class MessageReader {
  #rest: Buffer = Buffer.alloc(0);
  #opening: boolean;

  /** @param opening whether the stream begins with the message that has no type, as a client's does */
  constructor(opening: boolean) {
    this.#opening = opening;
  }

  /**
   * The messages that are complete with these bytes.
   *
   * @throws {RangeError} when this is not the protocol
   */
  push(chunk: Buffer): Message[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const messages: Message[] = [];
    for (let length = this.#nextLength(); length !== undefined; length = this.#nextLength()) {
      const bytes = this.#rest.subarray(0, length);
      messages.push({ type: this.#opening ? '' : String.fromCharCode(bytes[0] ?? 0), bytes });
      this.#rest = this.#rest.subarray(length);
      this.#opening = false;
    }
    return messages;
  }

  /** In bytes; undefined while the next message is not complete. */
  #nextLength(): number | undefined {
    const head = this.#opening ? 0 : 1;
    if (this.#rest.length < head + 4) return undefined;
    const length = head + this.#rest.readUInt32BE(head);
    if (length < head + 4 || length > MESSAGE_BYTES_MAX) throw new RangeError(`a message of ${length} bytes`);
    return this.#rest.length < length ? undefined : length;
  }
}

/** Recognizes the statements that write counters, also where only their names are sent. One for each connection. */
export class WriteSpotter {
  readonly #names = new Set<string>();

  /** Whether with this message of the client a write begins: it is prepared, or run. */
  begins({ type, bytes }: Message): boolean {
    if (type === 'Q') return isWrite(textAt(bytes, 5));
    if (type === 'P') {
      const name = textAt(bytes, 5);
      const writes = isWrite(textAt(bytes, 5 + Buffer.byteLength(name) + 1));
      if (writes) this.#names.add(name);
      else this.#names.delete(name);
      return writes;
    }
    if (type !== 'B') return false;
    const portal = textAt(bytes, 5);
    return this.#names.has(textAt(bytes, 5 + Buffer.byteLength(portal) + 1));
  }
}

const isWrite = (sql: string): boolean => /insert into counters\b/i.test(sql);

function textAt(bytes: Buffer, start: number): string {
  const end = bytes.indexOf(0, start);
  return bytes.toString('utf8', start, end < 0 ? bytes.length : end);
}

/** Reads what a server answers to a write, to its end. */
export class AnswerReader {
  readonly #reader = new MessageReader(false);
  #wrote = false;
  #sqlState: string | undefined;

  /** @returns `committed`, `replayed` when there was nothing to write, or a SQLSTATE; undefined: not at its end yet */
  push(chunk: Buffer): string | undefined {
    for (const { type, bytes } of this.#reader.push(chunk)) {
      // A row with a first column, the counter's name: what was known by its key has none.
      if (type === 'D') this.#wrote ||= bytes.readInt32BE(7) >= 0;
      if (type === 'E')
        this.#sqlState ??= /\0C([0-9A-Z]{5})\0/.exec(bytes.toString('latin1'))?.[1] ?? 'XX000';
      // ReadyForQuery, and idle: the transaction is over. Before it, nothing has been committed.
      if (type === 'Z')
        return this.#sqlState ?? (bytes[5] !== IDLE ? 'open' : this.#wrote ? 'committed' : 'replayed');
    }
    return undefined;
  }
}

const IDLE = 'I'.charCodeAt(0);

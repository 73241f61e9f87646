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

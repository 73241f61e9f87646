/** One message of PostgreSQL's wire protocol. */
export interface Message {
  /** The type byte as a letter; empty for the message that opens a connection, which has no type byte. */
  type: string;
  /** The complete message, including type and length. */
  bytes: Buffer;
}

/** The most bytes of a message: more than the service sends. A longer one indicates a different protocol. */
const MESSAGE_BYTES_MAX = 64 * 2 ** 20;

/** Splits a byte stream into messages. Source: PostgreSQL documentation, 54.7 "Message Formats". */
export class MessageReader {
  #rest: Buffer = Buffer.alloc(0);
  #opening: boolean;

  /** @param opening whether the stream starts with the message without a type byte, as a client's does */
  constructor(opening: boolean) {
    this.#opening = opening;
  }

  /**
   * Returns the messages that these bytes complete.
   *
   * @throws {RangeError} if the stream is not the protocol
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

  /** The length of the next message, in bytes; undefined while the message is incomplete. */
  #nextLength(): number | undefined {
    const head = this.#opening ? 0 : 1;
    if (this.#rest.length < head + 4) return undefined;
    const length = head + this.#rest.readUInt32BE(head);
    if (length < head + 4 || length > MESSAGE_BYTES_MAX)
      throw new RangeError(`not PostgreSQL's protocol: a message of ${length} bytes`);
    return this.#rest.length < length ? undefined : length;
  }
}

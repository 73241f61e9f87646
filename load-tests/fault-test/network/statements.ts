import type { Message } from './messages.ts';

/** A statement of the counters' writer that the service is sending. */
export interface WriterStatement {
  /**
   * - `write`: writes a plain batch, and commits it;
   * - `begin`, `lock`, `apply`, `commit`: the statements of a transaction that decides on each request. The service sends the
   *   first two together, and when it has decided, the others together;
   * - `close`: closes the number of a batch.
   */
  does: 'write' | 'begin' | 'lock' | 'apply' | 'commit' | 'close';
  /** The identity of the batch, as `writer/number`; empty if the statements so far do not contain it. */
  batch: string;
}

/** The names of prepared statements, without the digests of their texts. */
const PREPARED: ReadonlyMap<string, WriterStatement['does']> = new Map([
  ['write-one', 'write'],
  ['write', 'write'],
  ['write-keyed', 'write'],
  ['lock', 'lock'],
  ['apply', 'apply'],
  ['close', 'close'],
]);

const NAME_WITH_DIGEST = /^(.+)-[\w-]{12}$/;

/** Begins a transaction of the writer. */
const BEGIN = /^begin .*set local safe_counters.deciding = on$/;

/** Recognizes the writer's statements. One instance per connection. */
export class StatementSpotter {
  /** The batch of the transaction in progress; undefined: none of the writer's is. */
  #batch: string | undefined;

  /** Returns the statement that a message of the client executes, if it is one of the writer's. */
  spot({ type, bytes }: Message): WriterStatement | undefined {
    const reader = new FieldReader(bytes);
    if (type === 'Q') return this.#ofTransaction(reader.text());
    if (type !== 'B') return undefined;
    reader.text();
    const [, name = ''] = NAME_WITH_DIGEST.exec(reader.text()) ?? [];
    const does = PREPARED.get(name);
    if (!does) return undefined;
    const batch = does === 'lock' ? '' : reader.parameters(2).join('/');
    if (does === 'apply') this.#batch = batch;
    return { does, batch };
  }

  #ofTransaction(text: string): WriterStatement | undefined {
    const batch = this.#batch;
    this.#batch = undefined;
    if (BEGIN.test(text)) {
      this.#batch = '';
      return { does: 'begin', batch: '' };
    }
    return text === 'commit' && batch !== undefined ? { does: 'commit', batch } : undefined;
  }
}

/** Parses the fields of a message. Source: PostgreSQL documentation, 54.7 "Message Formats", Bind. */
class FieldReader {
  readonly #bytes: Buffer;
  /** The current position; the fields start after the type and the length. */
  #at = 5;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  text(): string {
    const end = this.#bytes.indexOf(0, this.#at);
    const text = this.#bytes.toString('utf8', this.#at, end < 0 ? this.#bytes.length : end);
    this.#at = end + 1;
    return text;
  }

  /** Returns the first parameters of a Bind message as text, at most `max`. */
  parameters(max: number): string[] {
    for (let formats = this.#int16(); formats > 0; formats -= 1) this.#int16();
    return Array.from({ length: Math.min(max, this.#int16()) }, () => {
      const length = this.#bytes.readInt32BE(this.#at);
      this.#at += 4;
      const start = this.#at;
      this.#at += Math.max(0, length);
      return this.#bytes.toString('utf8', start, this.#at);
    });
  }

  #int16(): number {
    this.#at += 2;
    return this.#bytes.readInt16BE(this.#at - 2);
  }
}

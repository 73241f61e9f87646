import type { Message } from './messages.ts';

/** A statement of the counters' writer that the service is sending. */
export interface WriterStatement {
  /** Whether it writes a batch or closes the number of a batch. */
  does: 'write' | 'close';
  /** The identity of the batch, as `writer/number`; empty if the statement does not contain it. */
  batch: string;
}

/** Recognizes the writer's statements, including executions of prepared ones. One instance per connection. */
export class StatementSpotter {
  readonly #prepared = new Map<string, WriterStatement['does']>();

  /** Returns the statement that a message of the client executes, if it is one of the writer's. */
  spot({ type, bytes }: Message): WriterStatement | undefined {
    const reader = new FieldReader(bytes);
    if (type === 'Q') {
      const does = doneBy(reader.text());
      return does && { does, batch: '' };
    }
    if (type === 'P') this.#prepare(reader.text(), doneBy(reader.text()));
    if (type !== 'B') return undefined;
    reader.text();
    const does = this.#prepared.get(reader.text());
    return does && { does, batch: reader.parameters(2).join('/') };
  }

  #prepare(name: string, does: WriterStatement['does'] | undefined): void {
    if (does) this.#prepared.set(name, does);
    else this.#prepared.delete(name);
  }
}

function doneBy(sql: string): WriterStatement['does'] | undefined {
  // Creating a counter with bounds (PUT) is not a statement of the writer.
  if (/insert into counters\b(?! as c \(name, value, min, max)/i.test(sql)) return 'write';
  return /update counter_writers\b/i.test(sql) ? 'close' : undefined;
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

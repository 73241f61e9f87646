import type { Message } from './messages.ts';

/** A statement of the counters' writer that is about to be run. */
export interface WriterStatement {
  /** Whether it writes a batch, or closes the number of one. */
  does: 'write' | 'close';
  /** The batch: its writer and its number; empty where the statement does not say. */
  batch: string;
}

/** Recognizes the writer's statements, also where only their names are sent. One for each connection. */
export class StatementSpotter {
  readonly #prepared = new Map<string, WriterStatement['does']>();

  /** The statement that this message of the client runs, if it is one of the writer's. */
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
  // Creating a counter with its bounds (PUT) is no statement of the writer.
  if (/insert into counters\b(?! as c \(name, value, min, max)/i.test(sql)) return 'write';
  return /update counter_writers\b/i.test(sql) ? 'close' : undefined;
}

/** Reads the fields of a message. Source: PostgreSQL documentation, 54.7 "Message Formats", Bind. */
class FieldReader {
  readonly #bytes: Buffer;
  /** After the type and the length. */
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

  /** The first parameters of a Bind, as texts, at most so many. */
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

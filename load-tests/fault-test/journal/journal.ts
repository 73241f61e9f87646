import { closeSync, openSync, writeSync } from 'node:fs';
import type { Outcome, Read } from '../../../src/concurrency/history.ts';
import type { CounterRead, History, Truth } from './history.ts';
import { begun, type Kind, type Operation } from './operation.ts';

/** What is buffered before it goes to the file, in characters. */
const BUFFER_MAX = 64 * 1024;

/**
 * Writes down what is about to be asked before it is asked, and what was answered after. A line each, so that the
 * file alone, even of a run that broke off, can be checked again:
 * `> id kind time` is about to be sent; `< id outcome time fault values|- replayed|- text` came of it; `f name` a fault
 * begins; `? name from to value` was read; `= id values`, `! key` and `# name value` are in the database; `.` ends what is.
 */
export class Journal implements History {
  readonly run: string;
  readonly faults: string[] = ['none'];
  readonly operations: Operation[] = [];
  readonly reads: CounterRead[] = [];
  readonly #file: number;
  readonly #operationsMax: number;
  #buffer = '';

  /** @param operationsMax how many it holds at most */
  constructor(file: string, run: string, operationsMax: number) {
    this.#file = openSync(file, 'w');
    this.run = run;
    this.#operationsMax = operationsMax;
    this.#line(`run ${run}`);
  }

  get full(): boolean {
    return this.operations.length >= this.#operationsMax;
  }

  /** In the file when this returns: from now on it may be sent. @throws {RangeError} when it is full */
  begin(kind: Kind): Operation {
    if (this.full) throw new RangeError(`the journal holds ${this.#operationsMax} operations at most`);
    const id = this.operations.length;
    const operation = begun(id, kind, performance.now(), this.faults.length - 1);
    this.operations.push(operation);
    this.#line(`> ${id} ${kind} ${operation.startedAt}`);
    this.#flush();
    return operation;
  }

  /** What became of it; may be said again of one whose outcome was unknown. */
  end(operation: Operation, outcome: Outcome, answer: Partial<Operation> = {}): void {
    // The time that counts for an open end is never: it may still be counted after whatever begins next.
    const endedAt = outcome === 'unknown' ? operation.endedAt : performance.now();
    Object.assign(operation, answer, { outcome, endedAt, fault: this.faults.length - 1 });
    const { id, fault, values, replayed, unexpected = '' } = operation;
    const text = unexpected.replaceAll(/\s+/g, ' ');
    this.#line(
      `< ${id} ${outcome} ${endedAt} ${fault} ${values?.join() ?? '-'} ${replayed ? 'replayed' : '-'} ${text}`,
    );
  }

  beginFault(name: string): void {
    this.faults.push(name);
    this.#line(`f ${name}`);
  }

  read(name: string, read: Read): void {
    this.reads.push({ name, ...read });
    this.#line(`? ${name} ${read.startedAt} ${read.endedAt} ${read.value}`);
  }

  truth({ counted, strangers, values }: Truth): void {
    for (const [id, kept] of counted) this.#line(`= ${id} ${kept.join()}`);
    for (const key of strangers) this.#line(`! ${key}`);
    for (const [name, value] of values) this.#line(`# ${name} ${value}`);
    this.#line('.');
    this.#flush();
  }

  close(): void {
    this.#flush();
    closeSync(this.#file);
  }

  #line(text: string): void {
    this.#buffer += `${text}\n`;
    if (this.#buffer.length > BUFFER_MAX) this.#flush();
  }

  #flush(): void {
    writeSync(this.#file, this.#buffer);
    this.#buffer = '';
  }
}

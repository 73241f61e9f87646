import { closeSync, openSync, writeSync } from 'node:fs';
import type { Outcome, Read } from '../../../src/concurrency/history.ts';
import { type CounterLock, type Failover, type History, noHistory, type Truth } from './history.ts';
import { begun, type Kind, type Operation } from './operation.ts';

/** What is buffered before it goes to the file, in characters. */
const BUFFER_MAX = 64 * 1024;

/** Reads that are kept at most; what comes after them is not compared. */
const READS_MAX = 500_000;

/**
 * Writes down what is about to be asked before it is asked, and what was answered after. A line each, so that the
 * file alone, even of a run that broke off, can be checked again:
 * `> id kind time about|-` is about to be sent; `< id outcome time fault values|- remarks|- text` came of it; `f
 * name` a fault begins; `? name from to value` was read; `l fault from to names` were locked; `o from
 * to` is a failover; `x ids` have no keys any
 * more; `= id values`, `! key` and `# name value` are in the database; `.` ends what is.
 */
export class Journal implements History {
  readonly run: string;
  readonly faults: History['faults'];
  readonly operations: History['operations'];
  readonly reads: History['reads'];
  readonly locks: History['locks'];
  readonly failovers: History['failovers'];
  readonly expired: History['expired'];
  readonly #file: number;
  readonly #operationsMax: number;
  #buffer = '';

  /** @param operationsMax how many it holds at most */
  constructor(file: string, run: string, operationsMax: number) {
    const { faults, operations, reads, locks, failovers, expired } = noHistory();
    this.faults = faults;
    this.operations = operations;
    this.reads = reads;
    this.locks = locks;
    this.failovers = failovers;
    this.expired = expired;
    this.#file = openSync(file, 'w');
    this.run = run;
    this.#operationsMax = operationsMax;
    this.#line(`run ${run}`);
  }

  get full(): boolean {
    return this.operations.length >= this.#operationsMax;
  }

  /**
   * In the file when this returns: from now on it may be sent.
   *
   * @param about what `Operation.about` says
   * @throws {RangeError} when it is full
   */
  begin(kind: Kind, about?: string): Operation {
    if (this.full) throw new RangeError(`the journal holds ${this.#operationsMax} operations at most`);
    const intent = { id: this.operations.length, kind, ...(about === undefined ? {} : { about }) };
    const operation = begun(intent, performance.now(), this.#fault);
    this.operations.push(operation);
    this.#line(`> ${operation.id} ${kind} ${operation.startedAt} ${about ?? '-'}`);
    this.#flush();
    return operation;
  }

  /** What became of it; may be said again of one whose outcome was unknown. */
  end(operation: Operation, outcome: Outcome, answer: Partial<Operation> = {}): void {
    // The time that counts for an open end is never: it may still be counted after whatever begins next.
    const endedAt = outcome === 'unknown' ? operation.endedAt : performance.now();
    Object.assign(operation, answer, { outcome, endedAt, fault: this.#fault });
    if (outcome !== 'refused') delete operation.code;
    const { id, fault, values, replayed, again, code, unexpected = '' } = operation;
    const text = unexpected.replaceAll(/\s+/g, ' ');
    const remarks = [again && 'again', replayed && 'replayed', code].filter(Boolean).join() || '-';
    this.#line(`< ${id} ${outcome} ${endedAt} ${fault} ${values?.join() || '-'} ${remarks} ${text}`);
  }

  beginFault(name: string): void {
    this.faults.push(name);
    this.#line(`f ${name}`);
  }

  read(name: string, read: Read): void {
    if (this.reads.length >= READS_MAX) return;
    this.reads.push({ name, ...read });
    this.#line(`? ${name} ${read.startedAt} ${read.endedAt} ${read.value}`);
  }

  locked(lock: Omit<CounterLock, 'fault'>): void {
    const { names, startedAt, endedAt } = lock;
    this.locks.push({ ...lock, fault: this.#fault });
    this.#line(`l ${this.#fault} ${startedAt} ${endedAt} ${names.join()}`);
  }

  failedOver(failover: Failover): void {
    this.failovers.push(failover);
    this.#line(`o ${failover.startedAt} ${failover.endedAt}`);
  }

  expire(ids: readonly number[]): void {
    for (const id of ids) this.expired.add(id);
    this.#line(`x ${ids.join()}`);
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

  get #fault(): number {
    return this.faults.length - 1;
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

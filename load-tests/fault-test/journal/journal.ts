import { closeSync, openSync, writeSync } from 'node:fs';
import type { Outcome, Read } from '../../../src/concurrency/history.ts';
import { type CounterLock, type Failover, type History, noHistory, type Truth } from './history.ts';
import { begun, type Kind, type Operation } from './operation.ts';

/** The size of the write buffer, in characters. */
const BUFFER_MAX = 64 * 1024;

/** The most reads to record; later ones are not checked. */
const READS_MAX = 500_000;

/**
 * Records each request before it is sent, and its outcome afterwards. The file alone is enough to check a run again, even
 * one that ended early. It has one line per event; times are in milliseconds of one clock:
 *
 * - `run NAME`: the prefix of the idempotency keys
 * - `> ID KIND TIME ABOUT|-`: a request is about to be sent
 * - `< ID OUTCOME TIME FAULT VALUES|- REMARKS|- TEXT`: its outcome
 * - `f NAME`: a fault begins
 * - `? NAME FROM TO VALUE`: a counter was read
 * - `l FAULT FROM TO NAMES`: another session held these counters locked
 * - `o FROM TO`: a failover
 * - `x IDS`: the keys of these requests have expired
 * - `= ID VALUES`, `! KEY`, `# NAME VALUE`: the state of the database: values stored under a key, a key that was never
 *   sent, the value of a counter
 * - `.`: the end of that state
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

  /** @param operationsMax the most operations that it may contain */
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
   * Records an operation that is about to be sent. It is in the file when this returns.
   *
   * @param about see `Operation.about`
   * @throws {RangeError} if the journal is full
   */
  begin(kind: Kind, about?: string): Operation {
    if (this.full) throw new RangeError(`the journal is full: it contains ${this.#operationsMax} operations`);
    const intent = { id: this.operations.length, kind, ...(about === undefined ? {} : { about }) };
    const operation = begun(intent, performance.now(), this.#fault);
    this.operations.push(operation);
    this.#line(`> ${operation.id} ${kind} ${operation.startedAt} ${about ?? '-'}`);
    this.#flush();
    return operation;
  }

  /** Records the outcome of an operation; called again for an unknown outcome that a retry has determined. */
  end(operation: Operation, outcome: Outcome, answer: Partial<Operation> = {}): void {
    // An operation with an unknown outcome has no end: it may be counted at any later time.
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

  truth({ counted, unsentKeys, values }: Truth): void {
    for (const [id, stored] of counted) this.#line(`= ${id} ${stored.join()}`);
    for (const key of unsentKeys) this.#line(`! ${key}`);
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

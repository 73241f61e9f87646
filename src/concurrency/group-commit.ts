import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate } from 'node:timers';
import { QueueFullError } from './semaphore.ts';

export interface GroupCommitOptions<Item, Result> {
  /**
   * Writes the items together and returns for each, in the same order, its result, its own error, or the promise of a
   * result, for which the next batch does not wait. A thrown error is the error of every item.
   */
  write: (items: readonly Item[]) => Promise<readonly (Result | Error | Promise<Result>)[]>;
  /** The weight of an item towards the two limits below; by default 1. */
  weigh?: (item: Item) => number;
  /** Maximum weight of a batch; a heavier item forms a separate batch. */
  batchMax: number;
  /**
   * No item is admitted while this weight is waiting. A heavy item may exceed it, so that it is not starved, but heavy items
   * leave a quarter of it to those of weight 1.
   */
  queueMax: number;
  /** The longest time that an item waits for its batch to start, in milliseconds; by default without a limit. */
  waitMsMax?: number;
}

const SHARE_OF_HEAVY = 0.75;

interface Waiting<Item, Result> {
  item: Item;
  weight: number;
  since: number;
  resolve: (result: Result | Promise<Result>) => void;
  reject: (error: unknown) => void;
}

/** A batch belongs to many callers, so it runs in the async context (EntityManager, session) of none of them. */
const inNoContext = AsyncLocalStorage.snapshot();

/**
 * Writes the items that are waiting together: one statement and one commit, after which all callers are answered.
 * No timer delays a batch. When idle, a batch is what arrived in the same turn of the event loop; when busy, it is what
 * arrived while the previous batch was written. So batches grow with the load, and add no latency when there is none.
 * Source: the group commit of database logs (DeWitt et al., "Implementation Techniques for Main Memory Database
 * Systems", 1984). It is applied one level higher here, so that fewer commits are made.
 */
export class GroupCommit<Item, Result> {
  readonly #options: GroupCommitOptions<Item, Result>;
  #queue: Waiting<Item, Result>[] = [];
  #waitingWeight = 0;
  #writing = false;
  #scheduled = false;
  #timer: NodeJS.Timeout | undefined;
  #idle = Promise.withResolvers<void>();

  constructor(options: GroupCommitOptions<Item, Result>) {
    this.#options = options;
    this.#idle.resolve();
  }

  /** The weight of the items that wait for their batch. */
  get waiting(): number {
    return this.#waitingWeight;
  }

  /** Whether anything waits or is being written. */
  get busy(): boolean {
    return this.#writing || this.#queue.length > 0;
  }

  /** The weight that the queue still has room for. */
  get room(): number {
    return Math.max(0, this.#options.queueMax - this.#waitingWeight);
  }

  /**
   * Resolves with the item's result after its batch was written.
   *
   * @throws {QueueFullError} when too many are waiting, or this one has waited too long; it will not be written
   * @throws the error that `write` threw for its batch, or returned for this item
   */
  submit(item: Item): Promise<Result> {
    const { queueMax, weigh } = this.#options;
    const weight = weigh?.(item) ?? 1;
    if (this.#waitingWeight >= (weight > 1 ? queueMax * SHARE_OF_HEAVY : queueMax)) {
      return Promise.reject(new QueueFullError(`${this.#waitingWeight} requests are already waiting`));
    }
    if (!this.#writing && this.#queue.length === 0) this.#idle = Promise.withResolvers<void>();
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.#queue.push({ item, weight, since: performance.now(), resolve, reject });
    this.#waitingWeight += weight;
    this.#startTimer();
    this.#writeSoon();
    return promise;
  }

  /** Resolves when nothing waits and nothing is being written. */
  drain(): Promise<void> {
    return this.#idle.promise;
  }

  /** Writes at the end of this turn of the event loop, so that the batch includes all items that arrive in it. */
  #writeSoon(): void {
    if (this.#scheduled || this.#writing) return;
    this.#scheduled = true;
    inNoContext(() =>
      setImmediate(() => {
        this.#scheduled = false;
        this.#writeNext();
      }),
    );
  }

  #writeNext(): void {
    if (this.#queue.length > 0) void this.#writeBatch(this.#nextBatch());
    else this.#idle.resolve();
  }

  #nextBatch(): Waiting<Item, Result>[] {
    let count = 0;
    let weight = 0;
    for (const next of this.#queue) {
      if (count > 0 && weight + next.weight > this.#options.batchMax) break;
      count += 1;
      weight += next.weight;
    }
    this.#waitingWeight -= weight;
    return this.#queue.splice(0, count);
  }

  async #writeBatch(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    this.#writing = true;
    try {
      const results = await this.#options.write(batch.map(({ item }) => item));
      if (results.length !== batch.length)
        throw new RangeError(`${results.length} results for ${batch.length} items`);
      for (const [i, { resolve, reject }] of batch.entries()) {
        const result = results[i] as Result | Error | Promise<Result>;
        if (result instanceof Error) reject(result);
        else resolve(result);
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
    this.#writing = false;
    this.#writeNext();
  }

  /** The first item in the queue has waited longest, so one timer is enough for all. */
  #startTimer(): void {
    const { waitMsMax } = this.#options;
    const [first] = this.#queue;
    if (waitMsMax === undefined || this.#timer || !first) return;
    const inMs = first.since + waitMsMax - performance.now();
    this.#timer = setTimeout(() => this.#refuseLate(waitMsMax), Math.max(1, inMs)).unref();
  }

  #refuseLate(waitMsMax: number): void {
    this.#timer = undefined;
    const latest = performance.now() - waitMsMax;
    const inTime = this.#queue.findIndex(({ since }) => since > latest);
    // All at once: removing them one by one would move the rest of a long queue each time.
    for (const late of this.#queue.splice(0, inTime < 0 ? this.#queue.length : inTime)) {
      this.#waitingWeight -= late.weight;
      late.reject(new QueueFullError(`waited ${waitMsMax} ms in the queue`));
    }
    this.#startTimer();
  }
}

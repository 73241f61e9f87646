import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate } from 'node:timers';
import { QueueFullError } from './semaphore.ts';

export interface GroupCommitOptions<Item, Result> {
  /**
   * Writes the items together, all or nothing, and returns a result for each, in their order. An error is handed to
   * everyone in the batch.
   */
  write: (items: readonly Item[]) => Promise<readonly Result[]>;
  /** Items of one batch at most. */
  batchMax: number;
  /** Items that wait at most; one more is refused at once. */
  queueMax: number;
}

interface Waiting<Item, Result> {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

/** What belongs to many callers runs in the context of none: no request's EntityManager, nobody's session. */
const inNoContext = AsyncLocalStorage.snapshot();

/**
 * Writes together what is waiting together: one statement and one commit for everyone, who are answered after it.
 * There is no timer. When idle, a batch is what came in the same turn of the event loop; when busy, it is what
 * gathered while the one before was written, so batches grow with the load and cost no latency without it.
 * Source: the group commit of database logs (DeWitt et al., "Implementation Techniques for Main Memory Database
 * Systems", 1984), here one level higher, where the commits themselves are saved.
 */
export class GroupCommit<Item, Result> {
  readonly #options: GroupCommitOptions<Item, Result>;
  #queue: Waiting<Item, Result>[] = [];
  #writing = false;
  #idle = Promise.withResolvers<void>();

  constructor(options: GroupCommitOptions<Item, Result>) {
    this.#options = options;
    this.#idle.resolve();
  }

  /** Items that wait for their batch. */
  get waiting(): number {
    return this.#queue.length;
  }

  /**
   * Resolves with the item's result after its batch was written.
   *
   * @throws {QueueFullError} when too many are waiting: nothing was written, nothing will be
   * @throws whatever `write` threw for its batch
   */
  submit(item: Item): Promise<Result> {
    const { queueMax } = this.#options;
    if (this.#queue.length >= queueMax) {
      return Promise.reject(new QueueFullError(`${queueMax} are waiting already`));
    }
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.#queue.push({ item, resolve, reject });
    if (!this.#writing) {
      this.#writing = true;
      this.#idle = Promise.withResolvers<void>();
      // At the end of the turn, so that those who come in the same one come along.
      inNoContext(() => setImmediate(() => void this.#writeAll()));
    }
    return promise;
  }

  /** Resolves when nothing waits and nothing is being written. */
  drain(): Promise<void> {
    return this.#idle.promise;
  }

  async #writeAll(): Promise<void> {
    while (this.#queue.length > 0) await this.#writeBatch(this.#queue.splice(0, this.#options.batchMax));
    this.#writing = false;
    this.#idle.resolve();
  }

  async #writeBatch(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await this.#options.write(batch.map(({ item }) => item));
      if (results.length !== batch.length)
        throw new RangeError(`${results.length} results for ${batch.length} items`);
      for (const [i, { resolve }] of batch.entries()) resolve(results[i] as Result);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}

interface SemaphoreOptions {
  permits: number;
  /** Waiters at most; one more is refused at once. */
  queueMax: number;
  /** How long a waiter waits at most, in milliseconds. */
  waitMsMax: number;
}

interface Waiter {
  permits: number;
  admit: () => void;
}

/** Refused without having waited (the queue is full) or after having waited too long. */
export class QueueFullError extends Error {
  override name = 'QueueFullError';
}

/**
 * Hands out permits, several at once to those who need several, first come first served: a waiter for many is
 * never overtaken by waiters for few, so nobody starves.
 */
export class Semaphore {
  readonly #options: SemaphoreOptions;
  #free: number;
  #waiters: Waiter[] = [];

  constructor(options: SemaphoreOptions) {
    this.#options = options;
    this.#free = options.permits;
  }

  get permits(): number {
    return this.#options.permits;
  }

  /**
   * Waits for `permits` permits and returns the function that gives one of them back (call it once for each).
   *
   * @throws {QueueFullError} when the queue is full or the wait took too long
   * @throws the signal's reason when it is aborted meanwhile
   */
  async acquire(permits: number, signal?: AbortSignal): Promise<() => void> {
    const { queueMax, waitMsMax } = this.#options;
    if (permits > this.permits) throw new RangeError(`${permits} permits of ${this.permits}`);
    signal?.throwIfAborted();
    if (this.#waiters.length === 0 && permits <= this.#free) {
      this.#free -= permits;
    } else if (this.#waiters.length >= queueMax) {
      throw new QueueFullError(`${queueMax} are waiting already`);
    } else {
      await this.#wait(permits, waitMsMax, signal);
    }
    return () => {
      this.#free += 1;
      this.#admit();
    };
  }

  /** Does `work` with one permit; throws as `acquire`, or what `work` throws. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const release = await this.acquire(1, signal);
    try {
      return await work();
    } finally {
      release();
    }
  }

  #wait(permits: number, waitMsMax: number, signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { permits, admit: resolve };
    const leave = (error: unknown) => {
      this.#waiters = this.#waiters.filter((other) => other !== waiter);
      reject(error);
      // The one who left may have been the one everybody else was waiting behind.
      this.#admit();
    };
    const timer = setTimeout(() => leave(new QueueFullError(`waited ${waitMsMax} ms`)), waitMsMax);
    const onAbort = () => leave(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#waiters.push(waiter);
    return promise.finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    });
  }

  #admit(): void {
    for (let next = this.#waiters[0]; next && next.permits <= this.#free; next = this.#waiters[0]) {
      this.#waiters.shift();
      this.#free -= next.permits;
      next.admit();
    }
  }
}

interface SemaphoreOptions {
  permits: number;
  /** Maximum number of waiters; further ones are refused at once. */
  queueMax: number;
  /** Maximum wait, in milliseconds. */
  waitMsMax: number;
}

interface Waiter {
  permits: number;
  admit: () => void;
}

/** Refused because the queue is full, or because the wait took too long. */
export class QueueFullError extends Error {
  override name = 'QueueFullError';
}

/**
 * Hands out one or more permits at a time, first come, first served. A waiter for many permits is never overtaken by
 * waiters for few, so that no waiter starves.
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
   * Waits for `permits` permits and returns a function that releases one of them (call it once for each).
   *
   * @throws {QueueFullError} when the queue is full or the wait took too long
   * @throws the signal's reason when it is aborted during the wait
   */
  async acquire(permits: number, signal?: AbortSignal): Promise<() => void> {
    const { queueMax, waitMsMax } = this.#options;
    if (permits > this.permits) throw new RangeError(`${permits} permits of ${this.permits}`);
    signal?.throwIfAborted();
    if (this.#waiters.length === 0 && permits <= this.#free) {
      this.#free -= permits;
    } else if (this.#waiters.length >= queueMax) {
      throw new QueueFullError(`${queueMax} requests are already waiting`);
    } else {
      await this.#wait(permits, waitMsMax, signal);
    }
    return () => {
      this.#free += 1;
      this.#admit();
    };
  }

  /** Runs `work` with one permit; throws as `acquire` does, or what `work` throws. */
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
      // The waiter that left may have been the one that held up all others.
      this.#admit();
    };
    const timer = setTimeout(
      () => leave(new QueueFullError(`waited ${waitMsMax} ms in the queue`)),
      waitMsMax,
    );
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

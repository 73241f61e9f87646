import { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { Problem } from '../errors/problem.ts';
import { problemOf } from '../http/problem-of.ts';
import { sseEvent } from '../http/sse.ts';

/** The interval at which the watched counters are read, in milliseconds. */
const POLL_MS = 100;

/** A comment is sent after this time without a change, in milliseconds, so that a broken connection is noticed. */
const QUIET_MS_MAX = 15_000;

/** A client that has read nothing for this long, in milliseconds, is disconnected. */
const STALLED_MS_MAX = 60_000;

/** The most open streams, in total and for one address. */
const WATCHERS_MAX = 1000;
const WATCHERS_OF_ADDRESS_MAX = 100;

type ReadStates = (names: readonly string[]) => Promise<ReadonlyMap<string, { value: number }>>;

/**
 * Sends the values of counters to watchers, whichever replica changes them: all watched counters are read together, ten
 * times a second. (LISTEN and NOTIFY would need a session, which a pooler does not provide, and a lock for which all commits
 * with a notification wait.) A slow reader misses intermediate values, never the latest.
 */
export class CounterWatch {
  readonly #read: ReadStates;
  readonly #watchers = new Set<Watcher>();
  /** The number of open streams of each address. */
  readonly #byAddress = new Map<string, number>();
  #polling = false;

  constructor(read: ReadStates) {
    this.#read = read;
  }

  /** The number of open streams. */
  get watchers(): number {
    return this.#watchers.size;
  }

  /**
   * Opens a stream of server-sent events: the current value, and then each new value.
   *
   * @param address the address of the client
   * @throws {Problem} `queue_full` when too many streams are open, `too_many_requests` when too many of this address are
   */
  watch(name: string, address: string): Readable {
    if (this.#watchers.size >= WATCHERS_MAX) {
      throw new Problem('queue_full', `${WATCHERS_MAX} streams are already open; try again later`);
    }
    const open = this.#byAddress.get(address) ?? 0;
    if (open >= WATCHERS_OF_ADDRESS_MAX) {
      throw new Problem(
        'too_many_requests',
        `${open} streams are open from ${address} already; allowed: up to ${WATCHERS_OF_ADDRESS_MAX} from one address`,
      );
    }
    const watcher = new Watcher(name);
    this.#watchers.add(watcher);
    this.#byAddress.set(address, open + 1);
    watcher.once('close', () => {
      this.#watchers.delete(watcher);
      this.#leave(address);
    });
    void this.#pollWhileWatched();
    return watcher;
  }

  #leave(address: string): void {
    const open = (this.#byAddress.get(address) ?? 0) - 1;
    if (open > 0) this.#byAddress.set(address, open);
    else this.#byAddress.delete(address);
  }

  /** Ends all streams. */
  close(): void {
    for (const watcher of this.#watchers) watcher.push(null);
    this.#watchers.clear();
  }

  async #pollWhileWatched(): Promise<void> {
    if (this.#polling) return;
    this.#polling = true;
    while (this.#watchers.size > 0) {
      await this.#poll();
      await setTimeout(POLL_MS);
    }
    this.#polling = false;
  }

  async #poll(): Promise<void> {
    const watchers = [...this.#watchers];
    try {
      const states = await this.#read([...new Set(watchers.map(({ counter }) => counter))]);
      for (const watcher of watchers)
        watcher.offer(valueEvent(watcher.counter, states.get(watcher.counter)?.value));
    } catch (error) {
      const { code, message: detail } = problemOf(error);
      for (const watcher of watchers) watcher.offer(sseEvent('problem', { code, detail }));
    }
    for (const watcher of watchers) watcher.keepAlive();
  }
}

/** The stream of one client. It holds only the latest event, and sends it once the client can receive it. */
class Watcher extends Readable {
  readonly counter: string;
  #lastSent = '';
  #next: string | undefined;
  #hasDemand = false;
  #sentAt = performance.now();

  constructor(counter: string) {
    super({ highWaterMark: 0 });
    this.counter = counter;
  }

  override _read(): void {
    this.#hasDemand = true;
    this.#flush();
  }

  /** Sends the event once the client can receive it, unless it equals the last one that was sent. */
  offer(text: string): void {
    this.#next = text === this.#lastSent ? undefined : text;
    this.#flush();
  }

  keepAlive(): void {
    const quietMs = performance.now() - this.#sentAt;
    if (quietMs > STALLED_MS_MAX) this.destroy();
    else if (quietMs > QUIET_MS_MAX && this.#hasDemand) this.#send(': keep-alive\n\n');
  }

  #flush(): void {
    if (!this.#hasDemand || this.#next === undefined) return;
    this.#lastSent = this.#next;
    this.#next = undefined;
    this.#send(this.#lastSent);
  }

  #send(text: string): void {
    this.#hasDemand = false;
    this.#sentAt = performance.now();
    this.push(text);
  }
}

/** The value is `null` if the counter does not exist. */
const valueEvent = (name: string, value: number | undefined) =>
  sseEvent('value', { name, value: value ?? null });

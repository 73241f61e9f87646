import { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { Problem } from '../errors/problem.ts';
import { problemOf } from '../http/problem-of.ts';
import { sseEvent } from '../http/sse.ts';

/** How often the watched counters are read, in milliseconds, while there are watchers. */
const POLL_MS = 100;

/** A comment is sent after this time without a change, so that a client that is gone is noticed. */
const QUIET_MS_MAX = 15_000;

/** A client that has not read anything for this long is disconnected. */
const STALLED_MS_MAX = 60_000;

/** Streams at the same time at most, and those of them that one address may have. */
const WATCHERS_MAX = 1000;
const WATCHERS_OF_ADDRESS_MAX = 100;

type ReadStates = (names: readonly string[]) => Promise<ReadonlyMap<string, { value: number }>>;

/**
 * Sends the values of counters to watchers, whichever replica changes them: all watched counters are read together, a few
 * times a second. (LISTEN and NOTIFY would need a session, which a pooler does not give, and a lock that all commits with a
 * notification wait for.) A slow reader misses intermediate values, never the latest.
 */
export class CounterWatch {
  readonly #read: ReadStates;
  readonly #watchers = new Set<Watcher>();
  /** How many of them each address has. */
  readonly #byAddress = new Map<string, number>();
  #looking = false;

  constructor(read: ReadStates) {
    this.#read = read;
  }

  /** Streams that are open. */
  get watchers(): number {
    return this.#watchers.size;
  }

  /**
   * A stream of server-sent events: the value now, and then whenever it has changed.
   *
   * @param address the address of the client
   * @throws {Problem} `queue_full` when too many are watching, `too_many_requests` when this address is
   */
  watch(name: string, address: string): Readable {
    if (this.#watchers.size >= WATCHERS_MAX) {
      throw new Problem('queue_full', `${WATCHERS_MAX} streams are open already`);
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
    void this.#lookWhileWatched();
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

  async #lookWhileWatched(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    while (this.#watchers.size > 0) {
      await this.#look();
      await setTimeout(POLL_MS);
    }
    this.#looking = false;
  }

  async #look(): Promise<void> {
    const watchers = [...this.#watchers];
    try {
      const states = await this.#read([...new Set(watchers.map(({ counter }) => counter))]);
      for (const watcher of watchers)
        watcher.tell(valueEvent(watcher.counter, states.get(watcher.counter)?.value));
    } catch (error) {
      const { code, message: detail } = problemOf(error);
      for (const watcher of watchers) watcher.tell(sseEvent('problem', { code, detail }));
    }
    for (const watcher of watchers) watcher.keepAlive();
  }
}

/** What one client is told: always the latest, and only when it can take it. */
class Watcher extends Readable {
  readonly counter: string;
  #told = '';
  #next: string | undefined;
  #wanted = false;
  #at = performance.now();

  constructor(counter: string) {
    super({ highWaterMark: 0 });
    this.counter = counter;
  }

  override _read(): void {
    this.#wanted = true;
    this.#flush();
  }

  /** Sends it, unless it was the last thing that was sent. */
  tell(text: string): void {
    this.#next = text === this.#told ? undefined : text;
    this.#flush();
  }

  keepAlive(): void {
    const quietMs = performance.now() - this.#at;
    if (quietMs > STALLED_MS_MAX) this.destroy();
    else if (quietMs > QUIET_MS_MAX && this.#wanted) this.#send(': still here\n\n');
  }

  #flush(): void {
    if (!this.#wanted || this.#next === undefined) return;
    this.#told = this.#next;
    this.#next = undefined;
    this.#send(this.#told);
  }

  #send(text: string): void {
    this.#wanted = false;
    this.#at = performance.now();
    this.push(text);
  }
}

/** `null`: there is no such counter, yet or any more. */
const valueEvent = (name: string, value: number | undefined) =>
  sseEvent('value', { name, value: value ?? null });

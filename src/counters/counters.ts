import type { Readable } from 'node:stream';
import { Semaphore } from '../concurrency/semaphore.ts';
import { failureOf } from '../database/failure.ts';
import type { Sessions } from '../database/sessions.ts';
import { codeOf, messageOf } from '../errors/caught.ts';
import { Problem } from '../errors/problem.ts';
import { problemOf } from '../http/problem-of.ts';
import { assertChange, type ChangeRequest, expectedState, type Precondition } from './change.ts';
import {
  type Changed,
  type CounterState,
  type ExpectedState,
  type Listing,
  type NamedCounter,
  type Page,
  PAGE_MAX,
  shown,
  timestamp,
  type WindowCount,
} from './counter.ts';
import { CounterReader } from './reader.ts';
import { removeExpiredForEver } from './removal.ts';
import {
  assertArray,
  assertName,
  bareKey,
  type Counted,
  type Increment,
  incrementOf,
  isPartOfName,
  type Made,
} from './request.ts';
import { CounterStore } from './store.ts';
import { TABLES_VERSION } from './tables.ts';
import { CounterWatch } from './watch.ts';
import { LOCK_MS } from './waits.ts';
import { WINDOWS_MAX, windowsAt } from './windows.ts';
import { CounterWriter, WRITER_CONNECTIONS, type WriterEvents } from './writer.ts';

export interface CountersLimits {
  /** How long an idempotency key is kept, in hours; 24 by default. */
  keyHours?: number;
  /** The most requests that may wait for their batch, 4096 by default; five increments of a bulk count as one request. */
  queueMax?: number;
  /** How long a request waits for a counter that another transaction has locked, in milliseconds; 5000 by default. */
  lockedMsMax?: number;
  /**
   * How long to try to settle a lost answer, that is, to find out whether its commit was applied, while no server
   * answers, in milliseconds; 45000 by default.
   */
  settleMsMax?: number;
}

/** @internal */
export interface CountersEnvironment extends CountersLimits {
  /** How long a statement may run, in milliseconds: a wait for a lock has to end before that. */
  statementMsMax: number;
  /** The schema of the tables. */
  schema: string;
  events?: WriterEvents;
  /** Called with each warning that concerns no single request. */
  warn: (message: string) => void;
  /** Called when the counters are closed. */
  onClosed?: () => Promise<void>;
}

export interface IncrementOptions {
  /** The amount to add, 1 by default; negative to subtract. */
  by?: number | undefined;
  /** A unique key for this increment, preferably a UUID: however often it is requested, it counts once. */
  key?: string | undefined;
  /** Whether to add as much as the bounds allow, possibly nothing; by default all or nothing. */
  partial?: boolean;
  /** The lowest and the highest value that this increment may lead to, in addition to the counter's own bounds. */
  min?: number;
  max?: number;
  /** The increment counts in the current window of this length (`30s`, `15m`, `1h`, `7d`), and not in the counter itself. */
  window?: string;
}

/** One increment of a bulk. */
export type IncrementItem = { /** The name of the counter. */ name: string } & Pick<
  IncrementOptions,
  'by' | 'min' | 'max' | 'window'
>;

export interface Incremented {
  /** The value after the increment. */
  value: number;
  /** The amount that was added: less than `by` only if `partial`. */
  added: number;
  /** Whether the increment had been counted before under the same key, and was not counted again. */
  replayed: boolean;
}

export interface AllIncremented {
  /** The value after each increment, in their order. */
  values: number[];
  /** Whether the increments had been counted before under the same key, and were not counted again. */
  replayed: boolean;
}

/** What a precondition of a change can be. A state: the counter must be in it. */
export type Expected = ExpectedState | Precondition;

/** Whose request it is, if it came over HTTP. */
export interface Sender {
  /** Keys of different senders are never equal. */
  keyspace?: string | undefined;
  /** Whether the client has disconnected: a request whose batch has not begun by then is dropped. */
  abandoned?: () => boolean;
}

/** How long `close` waits for the requests in progress, in milliseconds. */
const CLOSE_MS_MAX = 5000;

/** Lists take longer than other reads: only a few of them run at the same time, the rest wait. */
const LISTS = { permits: 2, queueMax: 1000, waitMsMax: 5000 };

/** The connections that counters use at the same time: to write, to list, to read, to watch, to remove, and to check. */
export const COUNTER_CONNECTIONS = WRITER_CONNECTIONS + LISTS.permits + 4;

const noEvents: WriterEvents = {
  written: () => {},
  retried: () => {},
  replayed: () => {},
  settled: () => {},
};

/**
 * Named counters in a database: durable, exact and idempotent. All methods throw `Problem`. Nothing was changed then,
 * unless its code is `outcome_unknown`: repeating the request with the same key finds out whether it was counted.
 */
export class Counters {
  readonly #store: CounterStore;
  readonly #reader: CounterReader;
  readonly #writer: CounterWriter;
  readonly #watch: CounterWatch;
  readonly #lists = new Semaphore(LISTS);
  readonly #closing = new AbortController();
  /** Aborted when `close` has waited long enough. */
  readonly #closeDeadline = new AbortController();
  readonly #removing: Promise<void>;
  readonly #onClosed: () => Promise<void>;
  #closed = false;
  readonly #running = new Set<Promise<unknown>>();

  /** @internal */
  constructor(
    sessions: Pick<Sessions, 'query' | 'transaction' | 'abandon'>,
    environment: CountersEnvironment,
  ) {
    const { statementMsMax, schema, events = noEvents, warn } = environment;
    const { keyHours = 24, lockedMsMax = 5000, onClosed = async () => {} } = environment;
    this.#onClosed = onClosed;
    // A wait for a lock times out before the statement does, early enough for another attempt.
    const lockMsMax = Math.min(LOCK_MS.max, Math.ceil(lockedMsMax / 2), Math.ceil(statementMsMax / 2));
    const store = new CounterStore(sessions, { keyHours, lockMsMax, schema });
    this.#store = store;
    this.#reader = new CounterReader(store);
    this.#watch = new CounterWatch((names) => store.states(names));
    this.#writer = new CounterWriter(store, events, { ...environment, closing: this.#closeDeadline.signal });
    this.#closeDeadline.signal.addEventListener('abort', () => sessions.abandon());
    this.#removing = removeExpiredForEver(store, this.#closing.signal, warn);
  }

  /** What waits at the moment. @internal */
  get load(): { waiting: number; room: number; busy: boolean; held: number; watchers: number } {
    const { waiting, room, busy, held } = this.#writer;
    return { waiting, room, busy, held, watchers: this.#watch.watchers };
  }

  /** Adds to a counter, which starts at 0 if it does not exist; resolves after the commit. */
  async increment(name: string, options: IncrementOptions = {}, sender: Sender = {}): Promise<Incremented> {
    const { by = 1, key, partial = false, min, max, window } = options;
    return this.#run(async () => {
      assertName(name);
      const increments = [{ name, by, min, max, window }];
      const answer = await this.#writer.submit({ increments, partial, ...ownKey(key, sender) });
      const { values, added = by, replayed } = answer as Counted & typeof answer;
      return { value: values[0] as number, added, replayed };
    });
  }

  /**
   * Adds to up to 1,000 counters, all or nothing, in one commit.
   *
   * @param items `by` is 1 by default
   */
  async incrementAll(
    items: readonly IncrementItem[],
    { key }: Pick<IncrementOptions, 'key'> = {},
    sender: Sender = {},
  ): Promise<AllIncremented> {
    return this.#run(async () => {
      assertArray('increments', items);
      const increments: Increment[] = items.map(incrementOf);
      for (const { name } of increments) assertName(name);
      const answer = await this.#writer.submit({ increments, ...ownKey(key, sender) });
      const { values, replayed } = answer as Counted & typeof answer;
      return { values, replayed };
    });
  }

  /** @returns the state, including every increment acknowledged before; undefined: there is no such counter */
  async read(name: string): Promise<CounterState | undefined> {
    return this.#run(async () => {
      assertName(name);
      return this.#reader.read(name);
    });
  }

  /** @returns the counters that exist, by name, in the order of `names`, all as of one moment */
  async readAll(names: readonly string[]): Promise<Map<string, CounterState>> {
    return this.#run(async () => {
      assertArray('names', names);
      for (const name of names) assertName(name);
      const found = await this.#lists.run(() => this.#store.states(names));
      return new Map(
        names.flatMap((name) => {
          const state = found.get(name);
          return state ? [[name, state]] : [];
        }),
      );
    });
  }

  /**
   * @param window the length of the windows, as in `increment`
   * @param last how many windows, 1 to 60, including the current one
   * @returns the count of each window, the current one first; windows without an increment have 0
   */
  async readWindows(name: string, window: string, last = 1): Promise<WindowCount[]> {
    return this.#run(async () => {
      assertName(name);
      if (!Number.isInteger(last) || last < 1 || last > WINDOWS_MAX)
        throw new Problem('invalid_request', `last is ${last}; allowed: 1 to ${WINDOWS_MAX} windows`);
      const rows = windowsAt(name, window, Date.now(), last);
      const counts = await this.#lists.run(() => this.#store.windows(rows));
      return rows.map(({ start }) => ({ start: timestamp(start), value: counts.get(start) ?? 0 }));
    });
  }

  /**
   * Sets the value, the bounds and the expiry of a counter on a precondition; fields that are not given do not change.
   *
   * @param expected `missing`: the counter must not exist; `exists`: it must exist; a state: it must be in this state
   * @returns the state after the change, and the value before it
   */
  async set(
    name: string,
    change: Partial<CounterState>,
    expected: Expected,
    { key }: Pick<IncrementOptions, 'key'> = {},
    sender: Sender = {},
  ): Promise<Changed> {
    return this.#run(async () => {
      assertName(name);
      assertChange(change);
      const { state, replaced, replayed } = await this.#change(name, change, expected, ownKey(key, sender));
      return { ...(state as CounterState), replaced, replayed };
    });
  }

  /**
   * Deletes a counter.
   *
   * @param expected `exists`: in any state; a state: it must be in this state
   * @returns false: there was no such counter
   */
  async delete(name: string, expected: Exclude<Expected, 'missing'>, sender: Sender = {}): Promise<boolean> {
    return this.#run(async () => {
      assertName(name);
      const { replaced } = await this.#change(name, undefined, expected, ownKey(undefined, sender));
      return replaced !== null;
    });
  }

  /** @returns a page of counters, in the order of the code points of their names */
  async list({ prefix = '', after = '', limit = 100 }: Listing = {}): Promise<Page> {
    return this.#run(async () => {
      if (!isPartOfName(prefix) || !isPartOfName(after))
        throw new Problem('invalid_request', 'prefix and after must be text without control characters');
      if (!Number.isInteger(limit) || limit < 1 || limit > PAGE_MAX)
        throw new Problem('invalid_request', `limit is ${shown(limit)}; allowed: 1 to ${PAGE_MAX}`);
      // One more than asked for says whether there is another page.
      const found = await this.#lists.run(() => this.#store.list(after, prefix, limit + 1));
      const counters: NamedCounter[] = found.slice(0, limit);
      return { counters, next: found.length > limit ? (counters.at(-1)?.name ?? null) : null };
    });
  }

  /**
   * Opens a stream of server-sent events: the current value, and then each new value.
   *
   * @param address the address of the client
   * @throws {Problem} `queue_full` when too many streams are open, `too_many_requests` when too many of this address are
   * @internal
   */
  watch(name: string, address: string): Readable {
    return this.#watch.watch(name, address);
  }

  /**
   * Resolves if the tables can be used.
   *
   * @throws {Problem} `database_unavailable` when they are missing, or of another version
   * @throws the database's error
   * @internal
   */
  async check(): Promise<void> {
    let version: number;
    try {
      version = await this.#store.version();
    } catch (error) {
      // Not the failure of a connection, but a missing table, column or right.
      if (failureOf(error) !== undefined || codeOf(error) === undefined) throw error;
      throw tablesProblem(messageOf(error), error);
    }
    if (!(version >= TABLES_VERSION))
      throw tablesProblem(`they have version ${version}, not ${TABLES_VERSION}`);
  }

  /**
   * Begins the time after which requests in progress end with a `Problem`; until `close`, further ones are served.
   *
   * @internal
   */
  beginToClose(): void {
    if (this.#closing.signal.aborted) return;
    const reason = new Problem(
      'shutting_down',
      'the service is shutting down; send the request to another replica, or again later',
    );
    setTimeout(() => this.#closeDeadline.abort(reason), CLOSE_MS_MAX).unref();
    this.#closing.abort();
    this.#watch.close();
  }

  /**
   * Resolves when every request is settled; those that take longer than 5 seconds end with a `Problem`. The pool stays
   * open.
   */
  async close(): Promise<void> {
    this.beginToClose();
    await this.#removing;
    this.#closed = true;
    await Promise.allSettled(this.#running);
    await this.#writer.drain();
    await this.#onClosed();
  }

  /** Throws errors as problems, except defects, whose own errors say more. Requests during the closing are served. */
  async #run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new Problem('shutting_down', 'these counters are closed');
    const running = withProblems(work);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  async #change(
    name: string,
    change: ChangeRequest['change'],
    expected: Expected,
    own: ReturnType<typeof ownKey>,
  ): Promise<Made & { replayed: boolean }> {
    const answer = await this.#writer.submit({
      name,
      change,
      precondition: preconditionOf(expected),
      ...own,
    });
    return answer as Made & typeof answer;
  }
}

/** Throws errors as problems, except defects, whose own errors say more. */
async function withProblems<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const problem = problemOf(error);
    throw problem.code === 'internal_error' ? error : problem;
  }
}

const preconditionOf = (expected: Expected): Precondition =>
  typeof expected === 'string' || 'oneOf' in expected ? expected : { oneOf: [expectedState(expected)] };

/** The key of a request, if it has one, as the tables know it: with the keyspace of its sender. */
const ownKey = (key: string | undefined, { keyspace = '', abandoned }: Sender) => ({
  ...(key === undefined ? {} : { key: keyspace + bareKey(key) }),
  ...(abandoned ? { abandoned } : {}),
});

const tablesProblem = (reason: string, cause?: unknown): Problem =>
  new Problem('database_unavailable', `the tables of the counters cannot be used: ${reason}`, { cause });

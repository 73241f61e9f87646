import { Semaphore } from '../concurrency/semaphore.ts';
import type { Sessions } from '../database/sessions.ts';
import { Problem } from '../errors/problem.ts';
import { problemOf } from '../http/problem-of.ts';
import { type Ask, askIn } from './ask.ts';
import { assertChange, type Change, type Existing, expectedState, remove, set } from './change.ts';
import { find, list, windowCounts } from './list.ts';
import type { Changed, CounterState, ExpectedState, Listing, Page, WindowCount } from './counter.ts';
import { shown } from './range.ts';
import { CounterReader } from './reader.ts';
import { PAGE_MAX } from './schemas.ts';
import { removeExpiredForEver } from './removal.ts';
import { assertArray, assertKey, assertName, type Increment, incrementOf, isPartOfName } from './request.ts';
import type { Statement } from './statements.ts';
import { CounterStore } from './store.ts';
import { CounterWatch } from './watch.ts';
import { CounterWriter, type WriterEvents } from './writer.ts';

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
  /** The schema of the tables; undefined: the search_path of the session applies. */
  schema?: string;
  events?: WriterEvents;
  /** Called with each warning that concerns no single request. */
  warn: (message: string) => void;
  /** For lists and changes, which may take longer; by default the sessions of the increments. */
  listAndChangeSessions?: Pick<Sessions, 'query' | 'abandon'>;
  /** Called when the counters are closed. */
  onClosed?: () => Promise<void>;
}

export interface IncrementOptions {
  /** The amount to add, 1 by default; negative to subtract. */
  by?: number;
  /** A unique key for this increment, preferably a UUID: however often it is requested, it counts once. */
  key?: string;
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

/** How long `close` waits for the requests in progress, in milliseconds. */
const CLOSE_MS_MAX = 5000;

/** How much later statements on connections that are not the counters' own end, in milliseconds. */
const SHARED_MS = 500;

/** Lists and changes may take long and share their pool: only a few of them run at the same time, the rest wait. */
const LISTS_AND_CHANGES = { permits: 4, queueMax: 1000, waitMsMax: 5000 };

/** How long a write may wait for a lock, in milliseconds. */
const LOCK_MS_MAX = 500;

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
  /** For lists and changes. @internal */
  readonly ask: Ask;
  /** @internal */
  readonly keyHours: number;
  /** @internal */
  readonly reader: CounterReader;
  /** @internal */
  readonly writer: CounterWriter;
  /** @internal */
  readonly watch: CounterWatch;
  readonly #closing = new AbortController();
  /** Aborted when `close` has waited long enough. */
  readonly #closeDeadline = new AbortController();
  readonly #removing: Promise<void>;
  readonly #onClosed: () => Promise<void>;
  #closed = false;
  readonly #running = new Set<Promise<unknown>>();

  /** @internal */
  constructor(sessions: Pick<Sessions, 'query' | 'abandon'>, environment: CountersEnvironment) {
    const { statementMsMax, schema, events = noEvents, warn, listAndChangeSessions = sessions } = environment;
    const { keyHours = 24, lockedMsMax = 5000, onClosed = async () => {} } = environment;
    this.#onClosed = onClosed;
    // A wait for a lock times out before the statement does, early enough for another attempt.
    const lockMsMax = Math.min(LOCK_MS_MAX, Math.ceil(lockedMsMax / 2), Math.ceil(statementMsMax / 2));
    this.keyHours = keyHours;
    const store = new CounterStore(sessions, { keyHours, lockMsMax, schema });
    const semaphore = new Semaphore(LISTS_AND_CHANGES);
    const ask = askIn(listAndChangeSessions, schema);
    this.ask = async <Row extends object>(statement: Statement, values: readonly unknown[]) => {
      const rows = await semaphore.run(() => ask<Row>(statement, values));
      store.wrote(statement.creates ?? 0);
      return rows;
    };
    this.reader = new CounterReader(store);
    this.watch = new CounterWatch((names) => store.states(names));
    this.writer = new CounterWriter(store, events, { ...environment, closing: this.#closeDeadline.signal });
    this.#closeDeadline.signal.addEventListener('abort', () => {
      sessions.abandon();
      // Shared with the demonstrations of the service, which stop by themselves at this moment.
      if (listAndChangeSessions !== sessions)
        setTimeout(() => listAndChangeSessions.abandon(), SHARED_MS).unref();
    });
    this.#removing = removeExpiredForEver(store, this.#closing.signal, warn);
  }

  /** Adds to a counter, which starts at 0 if it does not exist; resolves after the commit. */
  async increment(
    name: string,
    { by = 1, key, partial = false, min, max, window }: IncrementOptions = {},
  ): Promise<Incremented> {
    const { values, replayed } = await this.#submit([{ name, by, min, max, window }], key, partial);
    const [value = Number.NaN, added = by] = values;
    return { value, added, replayed };
  }

  /**
   * Adds to up to 1,000 counters, all or nothing, in one commit.
   *
   * @param increments `by` is 1 by default
   * @returns the value after each increment, in their order
   */
  async incrementAll(
    increments: readonly IncrementItem[],
    { key }: Pick<IncrementOptions, 'key'> = {},
  ): Promise<number[]> {
    assertArray('increments', increments);
    const { values } = await this.#submit(increments.map(incrementOf), key);
    return values;
  }

  /** @returns the state, including every increment acknowledged before; undefined: there is no such counter */
  async read(name: string): Promise<CounterState | undefined> {
    return this.#run(async () => {
      assertName(name);
      return this.reader.read(name);
    });
  }

  /** @returns the counters that exist, by name, all as of one moment */
  async readAll(names: readonly string[]): Promise<Map<string, CounterState>> {
    return this.#run(async () => {
      assertArray('names', names);
      for (const name of names) assertName(name);
      return new Map((await find(this.ask, names)).map(({ name, ...state }) => [name, state]));
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
      return windowCounts(this.ask, { name, window, last });
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
    expected: ExpectedState | 'exists' | 'missing',
    { key }: Pick<IncrementOptions, 'key'> = {},
  ): Promise<Changed> {
    return this.#run(async () => {
      assertName(name);
      assertChange(change satisfies Change);
      if (key !== undefined) assertKey('key', key);
      const precondition = expected === 'missing' ? expected : existing(expected);
      const changed = await set(this.ask, { name, change, precondition, key }, this.keyHours);
      if (changed) return changed;
      throw notExpected(name);
    });
  }

  /**
   * Deletes a counter; resolves as well if there is no such counter.
   *
   * @param expected `exists`: in any state; a state: it must be in this state
   */
  async delete(name: string, expected: ExpectedState | 'exists'): Promise<void> {
    return this.#run(async () => {
      assertName(name);
      const deleted = await remove(this.ask, name, existing(expected));
      if (!deleted && (await this.reader.read(name)) !== undefined) throw notExpected(name);
    });
  }

  /** @returns a page of counters, in the order of the code points of their names */
  async list({ prefix = '', after = '', limit = 100 }: Listing = {}): Promise<Page> {
    return this.#run(async () => {
      if (!isPartOfName(prefix) || !isPartOfName(after))
        throw new Problem('invalid_request', 'prefix and after must be text without control characters');
      if (!Number.isInteger(limit) || limit < 1 || limit > PAGE_MAX)
        throw new Problem('invalid_request', `limit is ${shown(limit)}; allowed: 1 to ${PAGE_MAX}`);
      return list(this.ask, { prefix, after, limit });
    });
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
    this.watch.close();
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
    await this.writer.drain();
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

  #submit(increments: readonly Increment[], key: string | undefined, partial = false) {
    return this.#run(async () => {
      for (const { name } of increments) assertName(name);
      if (key !== undefined) assertKey('key', key);
      return this.writer.submit({ increments, key, partial });
    });
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

const existing = (expected: ExpectedState | 'exists'): Existing =>
  expected === 'exists' ? expected : { oneOf: [expectedState(expected)] };

const notExpected = (name: string): Problem =>
  new Problem(
    'precondition_failed',
    `the counter ${JSON.stringify(name)} is not in the expected state; read it again`,
  );

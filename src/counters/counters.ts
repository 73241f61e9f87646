import { Semaphore } from '../concurrency/semaphore.ts';
import type { Sessions } from '../database/sessions.ts';
import { Problem } from '../errors/problem.ts';
import { problemOf } from '../http/problem-of.ts';
import { type Ask, askIn } from './ask.ts';
import { assertChange, type Change, expectedState, set } from './change.ts';
import { find, windowCounts } from './list.ts';
import type { Changed, CounterState, ExpectedState } from './counter.ts';
import type { Precondition } from './preconditions.ts';
import { CounterReader } from './reader.ts';
import { removeExpiredForEver } from './removal.ts';
import { assertKey, assertName, type Increment } from './request.ts';
import { CounterStore } from './store.ts';
import { CounterWatch } from './watch.ts';
import { CounterWriter, type WriterEvents } from './writer.ts';

export interface CountersLimits {
  /** How long an idempotency key is kept, in hours; 24 by default. */
  keyHours?: number;
  /** Requests that wait for their batch at most, 4096 by default; a bulk counts as one for each five of its increments. */
  queueMax?: number;
  /** How long a request waits for a counter that another transaction has locked, in milliseconds; 5000 by default. */
  lockedMsMax?: number;
  /** How long the outcome of a commit is asked for while no server answers, in milliseconds; 45000 by default. */
  settleMsMax?: number;
}

/** @internal */
export interface CountersEnvironment extends CountersLimits {
  /** How long a statement runs at most, in milliseconds: the wait for a lock has to end before. */
  statementMsMax: number;
  /** Where the tables are; undefined: wherever the session finds them. */
  schema?: string;
  events?: WriterEvents;
  /** Told of what belongs to no request. */
  warn: (message: string) => void;
  /** For lists and changes, which may take longer; by default the same as for increments. */
  others?: Pick<Sessions, 'query'>;
}

export interface IncrementOptions {
  /** The amount to add, 1 by default; negative to subtract. */
  by?: number;
  /** A unique key for this increment, best a UUID: however often it is asked for, it counts once. */
  key?: string;
  /** Whether to add as much as the bounds allow, possibly nothing; default: all or nothing. */
  partial?: boolean;
  /** The lowest and the highest value that this increment may lead to, besides the counter's own bounds. */
  min?: number;
  max?: number;
  /** Counts in the current window of this length (`30s`, `15m`, `1h`, `7d`), and not in the counter itself. */
  window?: string;
}

/** An increment of several. */
export type IncrementItem = { /** The counter. */ name: string } & Pick<
  IncrementOptions,
  'by' | 'min' | 'max' | 'window'
>;

/** What was counted in one window of time. */
export interface WindowCount {
  /** When the window begins, as an RFC 3339 timestamp in UTC. */
  start: string;
  value: number;
}

export interface Incremented {
  /** The value after the increment. */
  value: number;
  /** What was added: less than asked for only if `partial`. */
  added: number;
  /** Whether it had been counted before, under the same key, and was not counted again. */
  replayed: boolean;
}

/** How long `close` waits for what is under way, in milliseconds. */
const CLOSE_MS_MAX = 5000;

/** Lists and changes may take longer than increments, and share their pool with others: some at a time, the others wait. */
const OTHERS = { permits: 4, queueMax: 1000, waitMsMax: 5000 };

/** How long a write waits for a lock at most, in milliseconds. */
const LOCK_MS_MAX = 500;

const unheard: WriterEvents = { written: () => {}, retried: () => {}, replayed: () => {}, settled: () => {} };

/**
 * Counters with names, in a database: durable, exact, idempotent. All methods throw `Problem`; nothing was changed then,
 * unless its code is `outcome_unknown`: the same key finds out whether it was counted.
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
  readonly #late = new AbortController();
  readonly #removing: Promise<void>;

  /** @internal */
  constructor(sessions: Pick<Sessions, 'query'>, environment: CountersEnvironment) {
    const { statementMsMax, schema, events = unheard, warn, others = sessions } = environment;
    const { keyHours = 24, lockedMsMax = 5000 } = environment;
    // The wait for a lock ends before the statement does, and leaves time for another attempt.
    const lockMsMax = Math.min(LOCK_MS_MAX, Math.ceil(lockedMsMax / 2), Math.ceil(statementMsMax / 2));
    this.keyHours = keyHours;
    const store = new CounterStore(sessions, { keyHours, lockMsMax, schema });
    const turn = new Semaphore(OTHERS);
    const ask = askIn(others, schema);
    this.ask = (statement, values) => turn.run(() => ask(statement, values));
    this.reader = new CounterReader(store);
    this.watch = new CounterWatch((names) => store.states(names));
    this.writer = new CounterWriter(store, events, { ...environment, closing: this.#late.signal });
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
   * @param increments `by` is 1 if it is not given
   * @returns the value after each increment, in their order
   */
  async incrementAll(
    increments: readonly IncrementItem[],
    { key }: Pick<IncrementOptions, 'key'> = {},
  ): Promise<number[]> {
    const { values } = await this.#submit(
      increments.map(({ name, by = 1, min, max, window }) => ({ name, by, min, max, window })),
      key,
    );
    return values;
  }

  /** @returns what it is now, every increment that was acknowledged before included; undefined: there is none */
  async read(name: string): Promise<CounterState | undefined> {
    return told(async () => {
      assertName(name);
      return this.reader.read(name);
    });
  }

  /** @returns those of these counters that exist, by their names, as they were at one moment */
  async readAll(names: readonly string[]): Promise<Map<string, CounterState>> {
    return told(async () => {
      for (const name of names) assertName(name);
      return new Map((await find(this.ask, names)).map(({ name, ...state }) => [name, state]));
    });
  }

  /**
   * @param window the length of the windows, as increments named it
   * @param last how many windows, 1 to 60, the current one included
   * @returns what was counted in each, the current one first; windows without an increment have 0
   */
  async readWindows(name: string, window: string, last = 1): Promise<WindowCount[]> {
    return told(async () => {
      assertName(name);
      return windowCounts(this.ask, { name, window, last });
    });
  }

  /**
   * Sets the value, the bounds and the end of a counter, on a condition; what is not given stays as it is.
   *
   * @param expected `missing`: it must not exist; `exists`: it must; a state: it must be in it
   * @returns what it is now, and the value that it had
   */
  async set(
    name: string,
    change: Partial<CounterState>,
    expected: ExpectedState | 'exists' | 'missing',
    { key }: Pick<IncrementOptions, 'key'> = {},
  ): Promise<Changed> {
    return told(async () => {
      assertName(name);
      assertChange(change satisfies Change);
      if (key !== undefined) assertKey('key', key);
      const precondition: Precondition =
        typeof expected === 'object' ? { oneOf: [expectedState(expected)] } : expected;
      const changed = await set(this.ask, { name, change, precondition, key }, this.keyHours);
      if (changed) return changed;
      throw new Problem('precondition_failed', `the counter ${JSON.stringify(name)} is not as expected`);
    });
  }

  /**
   * Resolves when everything that was asked for is settled; what takes longer than 5 seconds ends with a `Problem`. The
   * pool stays open.
   */
  async close(): Promise<void> {
    if (!this.#closing.signal.aborted) {
      const reason = new Problem('shutting_down', 'the service is shutting down');
      setTimeout(() => this.#late.abort(reason), CLOSE_MS_MAX).unref();
    }
    this.#closing.abort();
    this.watch.close();
    await this.writer.drain();
    await this.#removing;
  }

  #submit(increments: readonly Increment[], key: string | undefined, partial = false) {
    return told(async () => {
      for (const { name } of increments) assertName(name);
      if (key !== undefined) assertKey('key', key);
      return this.writer.submit({ increments, key, partial });
    });
  }
}

/** What goes wrong as a problem, but for defects, of which the error itself says more. */
async function told<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const problem = problemOf(error);
    throw problem.code === 'internal_error' ? error : problem;
  }
}

import { randomUUID } from 'node:crypto';
import { codeOf } from '../caught.ts';
import { GroupCommit } from '../concurrency/group-commit.ts';
import { retry } from '../concurrency/retry.ts';
import { ConnectionError, failureOf, isConflict } from '../database/failure.ts';
import { Problem } from '../errors.ts';
import { type Batch, compose, fingerprint, type IncrementRequest, valuesOf, weightOf } from './batch.ts';
import { VALUE_MAX } from './counter.ts';
import { type CounterStore, isOutOfRange, type Kept, type Written } from './store.ts';

export interface Answer {
  /** What each increment of the request wrote, in their order. */
  values: number[];
  /** Whether the request had been counted before, under the same key, and was not counted again. */
  replayed: boolean;
}

/** What happens to batches, for whoever keeps figures. */
export interface WriterEvents {
  written(increments: number): void;
  retried(reason: string): void;
  settled(outcome: 'applied' | 'not applied' | 'unknown'): void;
  replayed(): void;
}

/** Increments of one batch, and those that wait, at most. */
const BATCH_MAX = 1000;
const QUEUE_MAX = 4096;

/** How long a request waits for its batch to begin, in milliseconds. */
const WAIT_MS_MAX = 5000;

/** How long a batch is tried again, in milliseconds. */
const RETRY_MS_MAX = 5000;

/** How long a lost answer is asked for, in milliseconds. */
const SETTLE_MS_MAX = 10_000;

/** How often a counter that somebody has locked is looked at again, in milliseconds. */
const LOCKED_MS = 250;

/** Somebody else used the same key at the same moment: the next attempt will find it. */
const UNIQUE_VIOLATION = '23505';

type Outcomes = Map<IncrementRequest, Answer | Error>;

/**
 * Writes the increments that wait together, and answers each request after the commit. Whatever fails, each request
 * is counted once, or not at all and told so; where nobody can know, that is what it is told.
 */
export class CounterWriter {
  readonly #store: CounterStore;
  readonly #events: WriterEvents;
  readonly #settleMsMax: number;
  readonly #group: GroupCommit<IncrementRequest, Answer>;
  /** Counters whose row somebody else keeps locked: nobody has to wait behind those who want them. */
  readonly #locked = new Set<string>();

  /** @param settleMsMax how long a lost answer is asked for, in milliseconds */
  constructor(store: CounterStore, events: WriterEvents, settleMsMax = SETTLE_MS_MAX) {
    this.#store = store;
    this.#settleMsMax = settleMsMax;
    this.#events = events;
    this.#group = new GroupCommit({
      write: (requests) => this.#write(requests),
      weigh: ({ increments }) => increments.length,
      batchMax: BATCH_MAX,
      queueMax: QUEUE_MAX,
      waitMsMax: WAIT_MS_MAX,
    });
  }

  /** Increments that wait for their batch. */
  get waiting(): number {
    return this.#group.waiting;
  }

  /**
   * @throws {Problem} `out_of_range`, `key_reused`, `busy`, `client_gone`: not counted; `outcome_unknown`: perhaps
   * @throws {QueueFullError} not counted
   * @throws {RetriesExhaustedError} not counted
   * @throws the database's error: not counted
   */
  async submit(request: IncrementRequest): Promise<Answer> {
    if (weightOf(request) > VALUE_MAX) {
      throw new Problem('out_of_range', `the amounts of one request may add up to ${VALUE_MAX}`);
    }
    const locked = this.#lockedIn(request, this.#locked);
    if (locked) throw locked;
    return this.#group.submit(request);
  }

  /** Resolves when everything that was submitted is settled. */
  drain(): Promise<void> {
    return this.#group.drain();
  }

  async #write(requests: readonly IncrementRequest[]): Promise<(Answer | Error)[]> {
    const outcomes: Outcomes = new Map();
    for (const request of requests) {
      if (request.abandoned?.()) outcomes.set(request, new Problem('client_gone', 'the client went away'));
    }
    for (const part of exactParts(requests.filter((request) => !outcomes.has(request)))) {
      await this.#writePart(part, outcomes);
    }
    return requests.map((request) => outcomes.get(request) ?? new TypeError('a request without an outcome'));
  }

  /** Gives each request its outcome, and does not throw. */
  async #writePart(part: readonly IncrementRequest[], outcomes: Outcomes): Promise<void> {
    const { firsts, twins } = byKey(part);
    try {
      await retry(() => this.#attempt(firsts, outcomes), {
        attemptsMax: 20,
        elapsedMsMax: RETRY_MS_MAX,
        delayMsBase: 0.5,
        delayMsMax: 100,
        retryable: mayBeRetried,
        onRetry: (error) => this.#events.retried(codeOf(error) ?? failureOf(error) ?? 'other'),
      });
    } catch (error) {
      for (const request of firsts) {
        if (!outcomes.has(request)) outcomes.set(request, error as Error);
      }
    }
    for (const [twin, first] of twins) outcomes.set(twin, this.#asTwin(twin, first, outcomes.get(first)));
  }

  /** Writes those that have no outcome yet. Each turn either ends it, or gives an outcome to one at least. */
  async #attempt(requests: readonly IncrementRequest[], outcomes: Outcomes): Promise<void> {
    for (;;) {
      const open = requests.filter((request) => !outcomes.has(request));
      if (open.length === 0) return;
      const batch = compose(open);
      try {
        const { after, kept } = await this.#writeOnce(batch);
        if (kept.size === 0) {
          for (const [r, values] of valuesOf(batch, after).entries()) {
            const request = open[r];
            if (request) outcomes.set(request, { values, replayed: false });
          }
          this.#events.written(open.reduce((sum, { increments }) => sum + increments.length, 0));
          return;
        }
        for (const request of open) {
          const known = kept.get(request.key ?? '');
          if (known) outcomes.set(request, this.#replay(request, known));
        }
      } catch (error) {
        if (!(await this.#refuseOffenders(error, batch, outcomes))) throw error;
      }
    }
  }

  /** One attempt, whose outcome is known when this ends, whatever becomes of the connection. */
  async #writeOnce(batch: Batch): Promise<Written> {
    const attempt = randomUUID();
    try {
      return await this.#store.write(batch, attempt);
    } catch (error) {
      if (failureOf(error) !== 'unknown') throw error;
      const values = await this.#settle(attempt);
      if (!values)
        throw new ConnectionError('lost', 'the connection broke before anything was applied', error);
      return {
        after: new Map(batch.deltas.map(({ name }, i) => [name, values[i] ?? Number.NaN])),
        kept: new Map(),
      };
    }
  }

  /** @throws {Problem} `outcome_unknown` when the database cannot be asked in time */
  async #settle(attempt: string): Promise<number[] | undefined> {
    try {
      const values = await retry(() => this.#store.close(attempt), {
        attemptsMax: 1000,
        elapsedMsMax: this.#settleMsMax,
        delayMsBase: 10,
        delayMsMax: 250,
        retryable: () => true,
      });
      this.#events.settled(values ? 'applied' : 'not applied');
      return values;
    } catch (error) {
      this.#events.settled('unknown');
      throw new Problem(
        'outcome_unknown',
        'the connection broke while the commit was in flight; the same Idempotency-Key finds out what became of it',
        { cause: error },
      );
    }
  }

  /** Finds whose fault it is that a batch was refused, so that the others can go on. @returns whether it was found */
  async #refuseOffenders(error: unknown, batch: Batch, outcomes: Outcomes): Promise<boolean> {
    const names = batch.deltas.map(({ name }) => name);
    const known = outcomes.size;
    if (isOutOfRange(error)) {
      const values = await this.#store.values(names);
      for (const request of batch.requests) {
        if (!applied(request, values)) outcomes.set(request, outOfRange(request));
      }
    } else if (failureOf(error) === 'busy' && codeOf(error)) {
      const locked = await this.#store.locked(names);
      for (const request of batch.requests) {
        const refusal = this.#lockedIn(request, locked);
        if (refusal) outcomes.set(request, refusal);
      }
      this.#setAside(locked);
    }
    return outcomes.size > known;
  }

  #lockedIn({ increments }: IncrementRequest, locked: ReadonlySet<string>): Problem | undefined {
    if (locked.size === 0) return undefined;
    const one = increments.find(({ name }) => locked.has(name));
    return one && new Problem('busy', `somebody keeps the counter ${JSON.stringify(one.name)} locked`);
  }

  /** Until they are free again, what asks for these counters is refused at once. */
  #setAside(locked: ReadonlySet<string>): void {
    const looking = this.#locked.size > 0;
    for (const name of locked) this.#locked.add(name);
    if (!looking && locked.size > 0) this.#lookLater();
  }

  #lookLater(): void {
    setTimeout(() => void this.#lookAgain(), LOCKED_MS).unref();
  }

  async #lookAgain(): Promise<void> {
    // Away is not locked.
    const still = await this.#store.locked([...this.#locked]).catch(() => new Set<string>());
    this.#locked.clear();
    this.#setAside(still);
  }

  #replay(request: IncrementRequest, { request: print, values }: Kept): Answer | Problem {
    if (print !== fingerprint(request)) return keyReused();
    this.#events.replayed();
    return { values, replayed: true };
  }

  #asTwin(
    twin: IncrementRequest,
    first: IncrementRequest,
    outcome: Answer | Error | undefined,
  ): Answer | Error {
    if (!outcome || outcome instanceof Error) return outcome ?? keyReused();
    return this.#replay(twin, { request: fingerprint(first), values: outcome.values });
  }
}

/** Several requests with one key in one batch: the first is written, and the others get its answer. */
function byKey(requests: readonly IncrementRequest[]) {
  const byName = new Map<string, IncrementRequest>();
  const firsts: IncrementRequest[] = [];
  const twins: [IncrementRequest, IncrementRequest][] = [];
  for (const request of requests) {
    const { key } = request;
    const first = key === undefined ? undefined : byName.get(key);
    if (first) twins.push([request, first]);
    else {
      firsts.push(request);
      if (key !== undefined) byName.set(key, request);
    }
  }
  return { firsts, twins };
}

/** Parts whose sums are exact: nearly always one. */
function exactParts(requests: readonly IncrementRequest[]): IncrementRequest[][] {
  const parts: IncrementRequest[][] = [];
  let left = -1;
  for (const request of requests) {
    const weight = weightOf(request);
    left -= weight;
    if (left < 0) {
      parts.push([]);
      left = VALUE_MAX - weight;
    }
    parts.at(-1)?.push(request);
  }
  return parts;
}

/** Applies the request to `values`, if all of it stays in range. @returns whether it did */
function applied({ increments }: IncrementRequest, values: Map<string, number>): boolean {
  const next = new Map<string, number>();
  for (const { name, by } of increments) {
    const value = (next.get(name) ?? values.get(name) ?? 0) + by;
    if (Math.abs(value) > VALUE_MAX) return false;
    next.set(name, value);
  }
  for (const [name, value] of next) values.set(name, value);
  return true;
}

function outOfRange({ increments }: IncrementRequest): Problem {
  const names = [...new Set(increments.map(({ name }) => JSON.stringify(name)))].slice(0, 3).join(', ');
  return new Problem('out_of_range', `${names} would leave the range from -${VALUE_MAX} to ${VALUE_MAX}`);
}

const keyReused = () =>
  new Problem('key_reused', 'this Idempotency-Key stands for another request; a new request needs a new key');

/** Nothing was applied, and the next attempt can go better. */
const mayBeRetried = (error: unknown): boolean =>
  isConflict(error) ||
  failureOf(error) === 'lost' ||
  codeOf(error) === UNIQUE_VIOLATION ||
  isOutOfRange(error);

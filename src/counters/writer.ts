import { codeOf } from '../errors/caught.ts';
import { GroupCommit } from '../concurrency/group-commit.ts';
import { retry } from '../concurrency/retry.ts';
import { failureOf, isConflict } from '../database/failure.ts';
import { Problem } from '../errors/problem.ts';
import { type SettleOptions, type Settlement, writeOnce } from './attempt.ts';
import { type Batch, compose, type IncrementRequest, valuesOf } from './batch.ts';
import { byKey, fingerprint, keyReused } from './idempotency.ts';
import { LockedCounters } from './locked-counters.ts';
import { assertExact, exactParts, fits, outOfRange } from './range.ts';
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
  settled(settlement: Settlement): void;
  replayed(): void;
}

export interface WriterLimits {
  /** Increments that wait for their batch at most. */
  queueMax?: number;
  /** How long a lost answer is asked for, in milliseconds. */
  settleMsMax?: number | undefined;
}

/** Increments of one batch at most. */
const BATCH_MAX = 1000;

/** How long a request waits for its batch to begin, in milliseconds. */
const WAIT_MS_MAX = 5000;

/** How long a batch is tried again, in milliseconds. */
const RETRY_MS_MAX = 5000;

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
  readonly #settling: SettleOptions;
  readonly #group: GroupCommit<IncrementRequest, Answer>;
  readonly #locked: LockedCounters;

  constructor(
    store: CounterStore,
    events: WriterEvents,
    { queueMax = 4096, settleMsMax = 10_000 }: WriterLimits = {},
  ) {
    this.#store = store;
    this.#events = events;
    this.#settling = { settleMsMax, onSettled: (settlement) => events.settled(settlement) };
    this.#locked = new LockedCounters(store);
    this.#group = new GroupCommit({
      write: (requests) => this.#write(requests),
      weigh: ({ increments }) => increments.length,
      batchMax: BATCH_MAX,
      queueMax,
      waitMsMax: WAIT_MS_MAX,
    });
  }

  /** Increments that wait for their batch. */
  get waiting(): number {
    return this.#group.waiting;
  }

  /** Increments that may come and wait besides. */
  get room(): number {
    return this.#group.room;
  }

  /**
   * @throws {Problem} `out_of_range`, `key_reused`, `busy`, `client_gone`: not counted; `outcome_unknown`: perhaps
   * @throws {QueueFullError} not counted
   * @throws {RetriesExhaustedError} not counted
   * @throws the database's error: not counted
   */
  async submit(request: IncrementRequest): Promise<Answer> {
    assertExact(request);
    const refusal = this.#locked.refusal(request);
    if (refusal) throw refusal;
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
    for (const { twin, first } of twins) outcomes.set(twin, this.#asTwin(twin, first, outcomes.get(first)));
  }

  /** Writes those that have no outcome yet. Each turn either ends it, or gives an outcome to one at least. */
  async #attempt(requests: readonly IncrementRequest[], outcomes: Outcomes): Promise<void> {
    for (;;) {
      const open = requests.filter((request) => !outcomes.has(request));
      if (open.length === 0) return;
      const batch = compose(open);
      try {
        this.#answer(batch, await writeOnce(this.#store, batch, this.#settling), outcomes);
      } catch (error) {
        // Whatever prevents that from being found out, nothing was applied: that must not become an unknown outcome.
        const found = await this.#refuseOffenders(error, batch, outcomes).catch(() => false);
        if (!found) throw error;
      }
    }
  }

  /** All of them; or, since nothing was written then, those whose key had been used before. */
  #answer(batch: Batch, { after, kept }: Written, outcomes: Outcomes): void {
    if (kept.size === 0) {
      const values = valuesOf(batch, after);
      for (const [r, request] of batch.requests.entries()) {
        outcomes.set(request, { values: values[r] ?? [], replayed: false });
      }
      this.#events.written(batch.requests.reduce((sum, { increments }) => sum + increments.length, 0));
    }
    for (const request of batch.requests) {
      const known = kept.get(request.key ?? '');
      if (known) outcomes.set(request, this.#replay(request, known));
    }
  }

  /** Finds whose fault it is that a batch was refused, so that the others can go on. @returns whether it was found */
  async #refuseOffenders(error: unknown, { requests, deltas }: Batch, outcomes: Outcomes): Promise<boolean> {
    const names = deltas.map(({ name }) => name);
    const known = outcomes.size;
    if (isOutOfRange(error)) {
      const values = await this.#store.values(names);
      for (const request of requests) {
        if (!fits(request, values)) outcomes.set(request, outOfRange(request));
      }
    } else if (failureOf(error) === 'busy' && codeOf(error)) {
      await this.#locked.look(names);
      for (const request of requests) {
        const refusal = this.#locked.refusal(request);
        if (refusal) outcomes.set(request, refusal);
      }
    }
    return outcomes.size > known;
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

/** Nothing was applied, and the next attempt can go better. */
const mayBeRetried = (error: unknown): boolean =>
  isConflict(error) ||
  failureOf(error) === 'lost' ||
  codeOf(error) === UNIQUE_VIOLATION ||
  isOutOfRange(error);

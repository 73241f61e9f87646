import { retry } from '../concurrency/retry.ts';
import { retryWhileReadOnly } from '../database/read-only-retry.ts';
import { failureOf } from '../database/failure.ts';
import { codeOf } from '../errors/caught.ts';
import { Problem } from '../errors/problem.ts';
import { type Batch, compose, type PendingRequest, valuesOf } from './batch.ts';
import { type Lane, mayBeRetried } from './lane.ts';
import { type Answer, keyReused } from './request.ts';
import { isSelective, type SelectiveBatch, select } from './selection.ts';
import { type CounterStore, isOutOfBounds, type KnownRequest, type Written } from './store.ts';
import { verdictsOf } from './verdicts.ts';

/** The outcome of a request; a promise if another lane writes it. */
export type Outcome = Answer | Error | Promise<Answer>;

/** The outcome of each request of a batch, in their order; undefined: not decided yet, to be written again. */
type Decisions = readonly (Outcome | undefined)[];

export interface BatchEvents {
  /** A commit wrote this many increments. */
  written(increments: number): void;
  /** A batch is written again; the reason is a SQLSTATE or the kind of failure. */
  retried(reason: string): void;
  /** A request was answered from its idempotency key. */
  replayed(): void;
}

/**
 * Decides on a batch that timed out waiting for a lock. Nothing of it was applied.
 *
 * @param repeated whether the attempt before it timed out as well, and no request was decided
 */
export type OnLocked = (batch: Batch, error: Error, repeated: boolean) => Promise<Decisions> | Decisions;

export interface BatchWriterOptions {
  store: CounterStore;
  lane: Lane;
  events: BatchEvents;
  onLocked: OnLocked;
  /** For how long no request of a batch may be decided, in milliseconds: each attempt may wait for the lock of a table. */
  lockedMsMax: number;
}

/** How long a conflict is retried, not counting the time spent settling lost answers. */
const RETRY = { attemptsMax: 20, elapsedMsMax: 5000, delayMsBase: 0.5, delayMsMax: 100 };

/** The most counters remembered as full. Beyond that all are forgotten; those that are still full are found again. */
const FULL_MAX = 1000;

/** How many times in a row a batch may be written without any of its requests being decided. */
const UNDECIDED_MAX = 20;

/**
 * Errors that can be due to the values of one request: data exceptions, violated constraints, limits of the program, and
 * what triggers raise.
 */
const OF_ONE_REQUEST = /^(22|23|44|54|P0)/;

/**
 * Writes requests together and sets aside those that cannot be written, so that the others are written. Each request is
 * counted once, or refused and not counted; if neither can be established, its outcome is `outcome_unknown`.
 */
export class BatchWriter {
  readonly #options: BatchWriterOptions;
  /**
   * Counters whose bounds did not admit a recent request. A batch that needs one of them is written selectively at once,
   * since writing it as a whole would probably fail.
   */
  readonly #full = new Set<string>();

  constructor(options: BatchWriterOptions) {
    this.#options = options;
  }

  /**
   * @param lockMs how long to wait for each lock, in milliseconds; by default, and at most, as long as the store does
   * @returns the outcome of each request; does not throw
   */
  async write(requests: readonly PendingRequest[], lockMs?: number): Promise<Outcome[]> {
    const outcomes = new Map<PendingRequest, Outcome>();
    let open = requests.filter((request) => !request.abandoned?.());
    const { lane, lockedMsMax } = this.#options;
    let since = lane.now();
    for (let undecided = 0; open.length > 0 && undecided < UNDECIDED_MAX; undecided += 1) {
      if (undecided > 0 && lane.now() - since >= lockedMsMax) break;
      const decisions = await this.#decide(this.#compose(open), undecided > 0, lockMs);
      for (const [i, request] of open.entries()) {
        const decision = decisions[i];
        if (decision) outcomes.set(request, decision);
      }
      const rest = open.filter((request) => !outcomes.has(request));
      if (rest.length < open.length) {
        undecided = 0;
        since = lane.now();
      }
      open = rest;
    }
    for (const request of open) outcomes.set(request, locked());
    return requests.map((request) => outcomes.get(request) ?? clientGone());
  }

  #compose(requests: readonly PendingRequest[]): Batch {
    const mayNotFit = ({ partial, increments }: PendingRequest) =>
      partial || (this.#full.size > 0 && increments.some(({ name }) => this.#full.has(name)));
    return requests.some(mayNotFit) ? select(requests) : compose(requests);
  }

  async #decide(batch: Batch, repeated: boolean, lockMs?: number): Promise<Decisions> {
    const { lane, onLocked } = this.#options;
    try {
      const written = await this.#persist(() => lane.write(batch, lockMs));
      if (written.known.length > 0) return this.#replay(batch, written.known);
      return isSelective(batch) ? await this.#answerSelective(batch, written) : this.#answer(batch, written);
    } catch (error) {
      try {
        if (isOutOfBounds(error) && !isSelective(batch))
          return await this.#decide(select(batch.requests), repeated, lockMs);
        if (isLocked(error)) return await onLocked(batch, error as Error, repeated);
        const { requests } = batch;
        if (requests.length > 1 && OF_ONE_REQUEST.test(codeOf(error) ?? ''))
          return await this.#decideInHalves(requests, repeated, lockMs);
        return requests.map(() => error as Error);
      } catch (failure) {
        // Nothing was applied, even if the attempt to find out why failed as well.
        return batch.requests.map(() => failure as Error);
      }
    }
  }

  /** Separates a request that the server refuses, for a reason that is not foreseen here, from the others. */
  async #decideInHalves(
    requests: readonly PendingRequest[],
    repeated: boolean,
    lockMs?: number,
  ): Promise<Decisions> {
    const middle = Math.ceil(requests.length / 2);
    const first = await this.#decide(this.#compose(requests.slice(0, middle)), repeated, lockMs);
    const second = await this.#decide(this.#compose(requests.slice(middle)), repeated, lockMs);
    // A selective batch may contain only the first ones of its requests.
    return [...Array.from({ length: middle }, (_, i) => first[i]), ...second];
  }

  /** Retries while a retry can succeed and nothing was applied. */
  #persist<T>(act: () => Promise<T>): Promise<T> {
    const { lane, events } = this.#options;
    const onRetry = (error: unknown) => events.retried(codeOf(error) ?? failureOf(error) ?? 'other');
    return retry(() => retryWhileReadOnly(act, onRetry), {
      ...RETRY,
      now: () => lane.now(),
      retryable: mayBeRetried,
      onRetry,
    });
  }

  #answer(batch: Batch, { values }: Written): Answer[] {
    this.#options.events.written(batch.steps.reduce((sum, steps) => sum + steps.length, 0));
    return valuesOf(batch, values).map((each) => ({ values: each, replayed: false }));
  }

  /** Answers the requests that fit, which are written, and refuses the others. */
  #answerSelective(batch: SelectiveBatch, { values }: Written): Promise<Decisions> {
    const verdicts = verdictsOf(batch, values);
    const refused = batch.requests.filter((_, i) => verdicts[i] instanceof Error);
    for (const { name } of batch.deltas) this.#full.delete(name);
    for (const { increments } of refused) for (const { name } of increments) this.#full.add(name);
    if (this.#full.size > FULL_MAX) this.#full.clear();
    const written = batch.requests.filter((_, i) => !(verdicts[i] instanceof Error));
    if (written.length > 0)
      this.#options.events.written(written.reduce((sum, { increments }) => sum + increments.length, 0));
    return this.#confirm(batch.requests, verdicts);
  }

  /**
   * The statement sees counters as they are under its locks, but keys as they were when it began. In the meantime, another
   * replica may have counted the same request, which may be what filled the counter. A request that was refused here but
   * counted there is left undecided, so that the next attempt replays it.
   */
  async #confirm(
    requests: readonly PendingRequest[],
    verdicts: readonly (Answer | Problem)[],
  ): Promise<Decisions> {
    const mayBeCounted = ({ key }: PendingRequest, i: number) =>
      key !== undefined && verdicts[i] instanceof Error;
    const keys = requests.filter(mayBeCounted).flatMap(({ key }) => key ?? []);
    if (keys.length === 0) return verdicts;
    try {
      const counted = await this.#persist(() => this.#options.store.knownKeys(keys));
      return verdicts.map((verdict, i) => (counted.has(requests[i]?.key ?? '') ? undefined : verdict));
    } catch (error) {
      // The other requests are decided, and those that fit are committed.
      return requests.map((request, i) => (mayBeCounted(request, i) ? (error as Error) : verdicts[i]));
    }
  }

  #replay({ requests }: Batch, known: readonly KnownRequest[]): Decisions {
    const byKey = new Map(known.map((earlier) => [earlier.key, earlier]));
    return requests.map(({ key, fingerprint }) => {
      const earlier = key === undefined ? undefined : byKey.get(key);
      if (!earlier) return undefined;
      if (earlier.request !== fingerprint) return keyReused();
      this.#options.events.replayed();
      return { values: earlier.values, replayed: true };
    });
  }
}

/** Whether the server reported lock_not_available: the wait for a lock timed out. */
export const isLocked = (error: unknown): boolean => codeOf(error) === '55P03';

const clientGone = () => new Problem('client_gone', 'the client disconnected before its batch began');

const locked = () =>
  new Problem(
    'busy',
    'the batch timed out waiting for a lock, although no row of it is locked: perhaps the table is; nothing was changed: try again later',
  );

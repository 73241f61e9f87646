import { retry } from '../concurrency/retry.ts';
import { retryWhileReadOnly } from '../database/read-only-retry.ts';
import { failureOf, isLocked } from '../database/failure.ts';
import { codeOf } from '../errors/caught.ts';
import { Problem } from '../errors/problem.ts';
import { compose, isPlain, valuesOf } from './batch.ts';
import { HeldError, isInterrupted, mayBeOfOneRequest, mayBeRetried, refusalOf } from './batch-refusal.ts';
import { decide, type Decisions, type KnownRequest, replay } from './decide.ts';
import type { Lane } from './lane.ts';
import { type Answer, clientGone, type PendingRequest } from './request.ts';
import { idOf } from './row.ts';
import type { CounterStore } from './store.ts';
import { CONFLICT, LOCK_MS } from './waits.ts';

/** The outcome of a request; a promise if another lane writes it. */
export type Outcome = Answer | Error | Promise<Answer>;

/** The outcome of each request of a batch, in their order; undefined: not decided yet, to be written again. */
type Outcomes = readonly (Outcome | undefined)[];

export interface BatchEvents {
  /** A commit wrote this many increments. */
  written(increments: number): void;
  /** A batch is written again; the reason is a SQLSTATE or the kind of failure. */
  retried(reason: string): void;
  /** A request was answered from its idempotency key. */
  replayed(): void;
}

export interface BatchWriterOptions {
  store: CounterStore;
  lane: Lane;
  events: BatchEvents;
  /** Finds out which requests of a batch that timed out waiting for a lock have to wait in the waiting room. */
  isolate: (requests: readonly PendingRequest[]) => Promise<boolean[]>;
  /** Whether requests wait in the waiting room. */
  isBesideHeld: () => boolean;
  /** Separates the request that the server refuses from the others; without it, the error is that of all of them. */
  separate?: (requests: readonly PendingRequest[]) => Promise<Answer>[];
  /** For how long no request of a batch may be decided, in milliseconds: each attempt may wait for the lock of a table. */
  lockedMsMax: number;
}

/** The most rows remembered as unfit. Beyond that all are forgotten; those that still are unfit are found again. */
const UNFIT_MAX = 1000;

/**
 * How many times in a row a batch may be written without any of its requests being decided: of several requests, and of one,
 * for which there may be the lock of a table.
 */
const UNDECIDED_MAX = { several: 3, one: 20 };

/** The share of the latest batch in the average duration of batches. */
const SHARE = 0.5;

/** By what the patience of an attempt is divided after one that was interrupted. */
const IMPATIENCE = 4;

/**
 * Writes requests together and sets aside those that cannot be written, so that the others are written. Each request is
 * counted once, or refused and not counted; if neither can be established, its outcome is `outcome_unknown`.
 */
export class BatchWriter {
  readonly #options: BatchWriterOptions;
  /**
   * Rows whose bounds or expiry did not admit a recent request. A batch that needs one of them is decided one by one at
   * once, since adding it as a whole would probably fail.
   */
  readonly #unfit = new Set<string>();
  /** The average duration of batches, in milliseconds; undefined: there was none. */
  #batchMs: number | undefined;

  constructor(options: BatchWriterOptions) {
    this.#options = options;
  }

  /** How long a batch takes at the moment, in milliseconds. */
  get batchMs(): number {
    return this.#batchMs ?? this.#options.lane.registeredMs;
  }

  /** @returns the outcome of each request; does not throw */
  async write(requests: readonly PendingRequest[]): Promise<Outcome[]> {
    const outcomes = new Map<PendingRequest, Outcome>();
    let open = requests.filter(({ sent }) => !sent.abandoned?.());
    const { lane, lockedMsMax, separate } = this.#options;
    let since = lane.now();
    // If no row and no key explains a timeout, the table is locked: each attempt waits for twice as long as the one before.
    for (let undecided = 0; open.length > 0 && undecided < UNDECIDED_MAX.one; undecided += 1) {
      if (undecided > 0 && lane.now() - since >= lockedMsMax) break;
      const isOfOne = open.length > 1 && undecided >= UNDECIDED_MAX.several;
      const decisions = isOfOne && separate ? separate(open) : await this.#writeOnce(open, 2 ** undecided);
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

  async #writeOnce(requests: readonly PendingRequest[], patience: number): Promise<Outcomes> {
    try {
      return this.#fits(requests)
        ? await this.#add(requests, patience)
        : await this.#decide(requests, patience);
    } catch (error) {
      // Nothing was applied, even if the attempt to find out why fails as well.
      return this.#failed(requests, error as Error).catch((failure: Error) => requests.map(() => failure));
    }
  }

  async #failed(requests: readonly PendingRequest[], error: Error): Promise<Outcomes> {
    const { isolate, separate } = this.#options;
    if (isLocked(error)) {
      const isHeld = await isolate(requests);
      return isHeld.map((held) => (held ? new HeldError() : separate ? undefined : error));
    }
    if (separate && mayBeOfOneRequest(error)) return separate(requests);
    return requests.map(() => error);
  }

  #fits(requests: readonly PendingRequest[]): boolean {
    const isUnfit = ({ rows }: PendingRequest) => rows.some((row) => this.#unfit.has(idOf(row)));
    return requests.every(isPlain) && (this.#unfit.size === 0 || !requests.some(isUnfit));
  }

  /** Adds all requests with one statement; decides on them one by one if they do not all fit. */
  async #add(requests: readonly PendingRequest[], patience: number): Promise<Outcomes> {
    const { lane, store } = this.#options;
    const batch = compose(requests);
    try {
      const { values, known } = await this.#persist(patience, (lockMs) =>
        lane.write(
          (id) => store.write(batch, id, lockMs()),
          (stored) => ({ values: stored, known: new Map() }),
        ),
      );
      if (known.size > 0) return this.#replay(requests, known);
      this.#options.events.written(batch.steps.reduce((sum, steps) => sum + steps.length, 0));
      return valuesOf(batch, values).map((each) => ({ values: each, replayed: false }));
    } catch (error) {
      if (refusalOf(error) !== 'unfit') throw error;
      return this.#decide(requests, patience);
    }
  }

  /** Decides on the requests under the locks on their rows, in the order of their arrival. */
  async #decide(requests: readonly PendingRequest[], patience: number): Promise<Outcomes> {
    const { lane, store, events } = this.#options;
    let decisions: Decisions | undefined;
    const { outcomes, changed } = await this.#persist(patience, (lockMs) =>
      lane.write(
        (id) => store.decide(requests, id, (world) => (decisions = decide(requests, world)), lockMs()),
        () => decisions as Decisions,
      ),
    );
    for (const id of changed.keys()) this.#unfit.delete(id);
    let written = 0;
    for (const [i, { increments, rows }] of requests.entries()) {
      const outcome = outcomes[i];
      if (outcome instanceof Error) {
        if (increments.length > 0) for (const row of rows) this.#unfit.add(idOf(row));
      } else if (outcome?.replayed) events.replayed();
      else written += increments.length;
    }
    if (this.#unfit.size > UNFIT_MAX) this.#unfit.clear();
    if (written > 0) events.written(written);
    return outcomes;
  }

  /**
   * Retries while a retry can succeed and nothing was applied.
   *
   * @param patience by what the wait for each lock is multiplied
   * @param act one attempt; given how long it may wait for each lock, in milliseconds
   */
  #persist<T>(patience: number, act: (lockMs: () => number) => Promise<T>): Promise<T> {
    const { lane, events } = this.#options;
    let divisor = 1;
    const lockMs = () => {
      const { min, batches } = this.#options.isBesideHeld() ? LOCK_MS.besideHeld : LOCK_MS.usual;
      return Math.ceil(Math.min(LOCK_MS.max, Math.max(min, batches * this.batchMs) * patience) / divisor);
    };
    const onRetry = (error: unknown) => {
      if (isInterrupted(error)) divisor *= IMPATIENCE;
      events.retried(codeOf(error) ?? failureOf(error) ?? 'other');
    };
    const measured = async () => {
      const since = lane.now();
      const result = await act(lockMs);
      this.#batchMs = this.batchMs + SHARE * (lane.now() - since - this.batchMs);
      return result;
    };
    return retry(() => retryWhileReadOnly(measured, onRetry), {
      ...CONFLICT,
      now: () => lane.now(),
      retryable: mayBeRetried,
      onRetry,
    });
  }

  #replay(requests: readonly PendingRequest[], known: ReadonlyMap<string, KnownRequest>): Outcomes {
    return requests.map((request) => {
      const earlier = request.key === undefined ? undefined : known.get(request.key);
      if (!earlier) return undefined;
      const answer = replay(request, earlier);
      if (!(answer instanceof Error)) this.#options.events.replayed();
      return answer;
    });
  }
}

const locked = () =>
  new Problem(
    'busy',
    'the batch timed out waiting for a lock, although no row of it is locked: perhaps the table is; nothing was changed: try again later',
  );

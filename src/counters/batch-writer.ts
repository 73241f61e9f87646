import { retry } from '../concurrency/retry.ts';
import { goingElsewhere } from '../database/elsewhere.ts';
import { failureOf } from '../database/failure.ts';
import { codeOf } from '../errors/caught.ts';
import { Problem } from '../errors/problem.ts';
import { type Batch, compose, type PendingRequest, valuesOf } from './batch.ts';
import { type Lane, mayBeRetried } from './lane.ts';
import { type Answer, keyReused } from './request.ts';
import { isSelective, type SelectiveBatch, select } from './selection.ts';
import { type CounterStore, isOutOfBounds, type KnownRequest, type Written } from './store.ts';
import { verdictsOf } from './verdicts.ts';

/** The outcome of a request; a promise where another lane writes it. */
export type Outcome = Answer | Error | Promise<Answer>;

/** One outcome for each request of a batch, in their order; undefined: to be written again, without the others. */
type Decisions = readonly (Outcome | undefined)[];

export interface BatchEvents {
  /** Increments that one commit wrote. */
  written(increments: number): void;
  /** A batch is written again: the SQLSTATE or the kind of failure. */
  retried(reason: string): void;
  /** A request was answered from its idempotency key. */
  replayed(): void;
}

/**
 * Decides on a batch whose wait for a lock ran out. Nothing of it was applied.
 *
 * @param again whether the wait of the attempt before it ran out, too, and nothing was decided then
 */
export type OnLocked = (batch: Batch, error: Error, again: boolean) => Promise<Decisions> | Decisions;

export interface BatchWriterOptions {
  store: CounterStore;
  lane: Lane;
  events: BatchEvents;
  onLocked: OnLocked;
}

/** How long a conflict is retried, besides the time in which lost answers are asked for. */
const RETRY = { attemptsMax: 20, elapsedMsMax: 5000, delayMsBase: 0.5, delayMsMax: 100 };

/** Counters that are known to refuse: forgotten when there are so many; those that matter are found again. */
const TIGHT_MAX = 1000;

/** How often a batch may fail in a row without any of its requests being the reason. */
const FRUITLESS_MAX = 20;

/**
 * Writes requests together, and takes out those that cannot be written, so that the others are: each request is
 * counted once, or not at all and told so; where that cannot be known, it is told that.
 */
export class BatchWriter {
  readonly #options: BatchWriterOptions;
  /** Counters that lately had no room for all: what needs them is not written as a whole in vain first. */
  readonly #tight = new Set<string>();

  constructor(options: BatchWriterOptions) {
    this.#options = options;
  }

  /**
   * @param lockMs how long to wait for each lock, if not as long as the store does
   * @returns for each request its outcome; does not throw
   */
  async write(requests: readonly PendingRequest[], lockMs?: number): Promise<Outcome[]> {
    const outcomes = new Map<PendingRequest, Outcome>();
    let open = requests.filter((request) => !request.abandoned?.());
    for (let fruitless = 0; open.length > 0 && fruitless < FRUITLESS_MAX; fruitless += 1) {
      const decisions = await this.#decide(this.#compose(open), fruitless > 0, lockMs);
      for (const [i, request] of open.entries()) {
        const decision = decisions[i];
        if (decision) outcomes.set(request, decision);
      }
      const rest = open.filter((request) => !outcomes.has(request));
      if (rest.length < open.length) fruitless = 0;
      open = rest;
    }
    for (const request of open) outcomes.set(request, retriesExhausted());
    return requests.map((request) => outcomes.get(request) ?? clientGone());
  }

  #compose(requests: readonly PendingRequest[]): Batch {
    const tight = ({ partial, increments }: PendingRequest) =>
      partial || (this.#tight.size > 0 && increments.some(({ name }) => this.#tight.has(name)));
    return requests.some(tight) ? select(requests) : compose(requests);
  }

  async #decide(batch: Batch, again: boolean, lockMs?: number): Promise<Decisions> {
    const { lane, onLocked } = this.#options;
    try {
      const written = await this.#persist(() => lane.write(batch, lockMs));
      if (written.known.length > 0) return this.#replay(batch, written.known);
      return isSelective(batch) ? await this.#judge(batch, written) : this.#answer(batch, written);
    } catch (error) {
      try {
        if (isOutOfBounds(error) && !isSelective(batch))
          return await this.#decide(select(batch.requests), again, lockMs);
        if (isLocked(error)) return await onLocked(batch, error as Error, again);
        return batch.requests.map(() => error as Error);
      } catch (failure) {
        // Nothing was applied, whatever prevents us from finding out why.
        return batch.requests.map(() => failure as Error);
      }
    }
  }

  /** Again while it is worth it, and nothing was applied. */
  #persist<T>(act: () => Promise<T>): Promise<T> {
    const { lane, events } = this.#options;
    const onRetry = (error: unknown) => events.retried(codeOf(error) ?? failureOf(error) ?? 'other');
    return retry(() => goingElsewhere(act, onRetry), {
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

  /** What fits is written, and what does not is refused. */
  #judge(batch: SelectiveBatch, { values }: Written): Promise<Decisions> {
    const verdicts = verdictsOf(batch, values);
    const refused = batch.requests.filter((_, i) => verdicts[i] instanceof Error);
    for (const { name } of batch.deltas) this.#tight.delete(name);
    for (const { increments } of refused) for (const { name } of increments) this.#tight.add(name);
    if (this.#tight.size > TIGHT_MAX) this.#tight.clear();
    const written = batch.requests.filter((_, i) => !(verdicts[i] instanceof Error));
    if (written.length > 0)
      this.#options.events.written(written.reduce((sum, { increments }) => sum + increments.length, 0));
    return this.#confirm(batch.requests, verdicts);
  }

  /**
   * The statement decides on counters as they are under its locks, but knows keys only as they were when it began: another
   * replica may have counted a refused request meanwhile, and with that have taken its room. Such a one is left open, to
   * be replayed.
   */
  async #confirm(
    requests: readonly PendingRequest[],
    verdicts: readonly (Answer | Problem)[],
  ): Promise<Decisions> {
    const isOpen = ({ key }: PendingRequest, i: number) => key !== undefined && verdicts[i] instanceof Error;
    const keys = requests.filter(isOpen).flatMap(({ key }) => key ?? []);
    if (keys.length === 0) return verdicts;
    try {
      const counted = await this.#persist(() => this.#options.store.knownKeys(keys));
      return verdicts.map((verdict, i) => (counted.has(requests[i]?.key ?? '') ? undefined : verdict));
    } catch (error) {
      // The others are decided, and written.
      return requests.map((request, i) => (isOpen(request, i) ? (error as Error) : verdicts[i]));
    }
  }

  #replay({ requests }: Batch, known: readonly KnownRequest[]): Decisions {
    const byKey = new Map(known.map((one) => [one.key, one]));
    return requests.map(({ key, fingerprint }) => {
      const one = key === undefined ? undefined : byKey.get(key);
      if (!one) return undefined;
      if (one.request !== fingerprint) return keyReused();
      this.#options.events.replayed();
      return { values: one.values, replayed: true };
    });
  }
}

/** lock_not_available: the bound on waiting for a lock ran out. */
export const isLocked = (error: unknown): boolean => codeOf(error) === '55P03';

const clientGone = () => new Problem('client_gone', 'the client went away');

const retriesExhausted = () =>
  new Problem(
    'retries_exhausted',
    `the batch waited for a lock in vain ${FRUITLESS_MAX} times, and each time all locks were free afterwards`,
  );

import { retry } from '../concurrency/retry.ts';
import { goingElsewhere } from '../database/elsewhere.ts';
import { failureOf } from '../database/failure.ts';
import { codeOf } from '../errors/caught.ts';
import { Problem } from '../errors/problem.ts';
import { type Batch, compose, type PendingRequest, valuesOf } from './batch.ts';
import { type Lane, mayBeRetried } from './lane.ts';
import { fits, outOfRange } from './range.ts';
import { type Answer, keyReused } from './request.ts';
import { type CounterStore, isOutOfRange, type KnownRequest, type Written } from './store.ts';

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

/** How often a batch may be refused in a row without any of its requests being the reason. */
const FRUITLESS_MAX = 20;

/**
 * Writes requests together, and takes out those that cannot be written, so that the others are: each request is
 * counted once, or not at all and told so; where that cannot be known, it is told that.
 */
export class BatchWriter {
  readonly #options: BatchWriterOptions;

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
      const decisions = await this.#decide(compose(open), fruitless > 0, lockMs);
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

  async #decide(batch: Batch, again: boolean, lockMs?: number): Promise<Decisions> {
    const { lane, events, onLocked } = this.#options;
    try {
      const onRetry = (error: unknown) => events.retried(codeOf(error) ?? failureOf(error) ?? 'other');
      const written = await retry(() => goingElsewhere(() => lane.write(batch, lockMs), onRetry), {
        ...RETRY,
        now: () => lane.now(),
        retryable: mayBeRetried,
        onRetry,
      });
      return written.known.length > 0 ? this.#replay(batch, written.known) : this.#answer(batch, written);
    } catch (error) {
      try {
        if (isOutOfRange(error)) return await this.#refuseOutOfRange(batch, again, lockMs);
        if (isLocked(error)) return await onLocked(batch, error as Error, again);
        return batch.requests.map(() => error as Error);
      } catch (failure) {
        // Nothing was applied, whatever prevents us from finding out why.
        return batch.requests.map(() => failure as Error);
      }
    }
  }

  #answer(batch: Batch, { values }: Written): Answer[] {
    this.#options.events.written(batch.steps.reduce((sum, steps) => sum + steps.length, 0));
    return valuesOf(batch, values).map((each) => ({ values: each, replayed: false }));
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

  /** In the order of arrival: a request that does not fit leaves the room to those after it. */
  async #refuseOutOfRange({ requests, deltas }: Batch, again: boolean, lockMs?: number): Promise<Decisions> {
    const { store } = this.#options;
    const keys = requests.flatMap(({ key }) => key ?? []);
    // Counted meanwhile through another replica: the next attempt replays it.
    if (!again && keys.length > 0 && (await store.knowsAny(keys))) return [];
    const values = await store.values(deltas.map(({ name }) => name));
    const decisions = requests.map((request) => (fits(request, values) ? undefined : outOfRange(request)));
    if (decisions.some((decision) => decision !== undefined)) return decisions;
    // All fit, one after another: the sum of them is beyond the range, or other writers were faster.
    const half = Math.floor(requests.length / 2);
    return half === 0
      ? requests.map(outOfRange)
      : this.#decide(compose(requests.slice(0, half)), again, lockMs);
  }
}

/** lock_not_available: the bound on waiting for a lock ran out. */
export const isLocked = (error: unknown): boolean => codeOf(error) === '55P03';

const clientGone = () => new Problem('client_gone', 'the client went away');

const retriesExhausted = () =>
  new Problem(
    'retries_exhausted',
    `the batch was refused ${FRUITLESS_MAX} times as other writers changed its counters`,
  );

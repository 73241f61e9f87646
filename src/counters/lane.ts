import { randomUUID } from 'node:crypto';
import { retry } from '../concurrency/retry.ts';
import { ConnectionError, failureOf, isConflict } from '../database/failure.ts';
import { codeOf } from '../errors/caught.ts';
import { Problem } from '../errors/problem.ts';
import type { Batch } from './batch.ts';
import { type BatchId, type CounterStore, isFenced, isForgotten, type Written } from './store.ts';

/** What was found out about a commit whose answer was lost. */
export const settlements = ['applied', 'not applied', 'unknown'] as const;
export type Settlement = (typeof settlements)[number];

export interface LaneOptions {
  /** How long a lost answer is asked for while no server answers, in milliseconds. */
  settleMsMax: number;
  onSettled: (settlement: Settlement) => void;
  /** Aborted when nothing may be waited for any more. */
  closing: AbortSignal;
}

/** Between two attempts to be answered, in milliseconds. */
const DELAY = { delayMsBase: 10, delayMsMax: 250 };

/**
 * How long a lost answer is asked for where a server answers and cannot tell, in milliseconds: the first attempt, which no
 * client hears of any more, keeps its row locked. Other counters must not wait for that as long as for a failover.
 */
const HEARD_MS_MAX = 10_000;

/**
 * Writes one batch after another, each exactly once whatever becomes of connections: batches carry the identity of
 * the writer and a number, as the messages of an idempotent producer do (KIP-98 of Apache Kafka), and the database
 * applies each number once. Correctness depends on no clock: a process that was stopped for a day finds out the same.
 */
export class Lane {
  readonly #store: CounterStore;
  readonly #options: LaneOptions;
  #writer: string | undefined;
  #seq = 0;
  #settlingMs = 0;

  constructor(store: CounterStore, options: LaneOptions) {
    this.#store = store;
    this.#options = options;
  }

  /** A clock, in milliseconds, that stands still while a lost answer is asked for. */
  now(): number {
    return performance.now() - this.#settlingMs;
  }

  /**
   * To be called with one batch at a time.
   *
   * @param lockMs how long to wait for each lock, if not as long as the store does
   * @throws {Problem} `outcome_unknown` when the database could not be asked in time
   * @throws whatever the server refused it for: nothing was applied
   */
  async write(batch: Batch, lockMs?: number): Promise<Written> {
    this.#writer ??= await this.#register();
    this.#seq += 1;
    const id = { writer: this.#writer, seq: this.#seq };
    try {
      return await this.#store.write(batch, id, lockMs);
    } catch (error) {
      if (isForgotten(error)) this.#writer = undefined;
      if (failureOf(error) !== 'unknown') throw error;
      const since = performance.now();
      try {
        return await this.#settle(batch, id, error);
      } finally {
        this.#settlingMs += performance.now() - since;
      }
    }
  }

  /**
   * The answer was lost: sends the same batch under the same number until there is an answer. Whichever attempt comes
   * first is applied, on whichever server; if this one is refused, closing the number says what the first one wrote.
   */
  async #settle(batch: Batch, id: BatchId, lost: unknown): Promise<Written> {
    const { settleMsMax, onSettled, closing } = this.#options;
    let refusal: unknown;
    let heardAt: number | undefined;
    const heardForLong = (error: unknown) => {
      heardAt = isAnswer(error) ? (heardAt ?? performance.now()) : undefined;
      return heardAt !== undefined && performance.now() - heardAt > HEARD_MS_MAX;
    };
    const attempt = async () => {
      if (refusal === undefined) {
        try {
          return { applied: false, written: await this.#store.write(batch, id) };
        } catch (error) {
          if (isUnheard(error) || isForgotten(error)) throw error;
          refusal = error;
        }
      }
      const values = await this.#store.close(id);
      return { applied: values !== undefined, written: values && { values, known: [] } };
    };
    try {
      const { applied, written } = await retry(attempt, {
        ...DELAY,
        attemptsMax: Number.POSITIVE_INFINITY,
        elapsedMsMax: settleMsMax,
        // What keeps the row of the writer locked is the first attempt: closing waits for its end, however often.
        retryable: (error) =>
          (isUnheard(error) || (refusal !== undefined && failureOf(error) !== undefined)) &&
          !heardForLong(error),
        signal: closing,
      });
      onSettled(applied ? 'applied' : 'not applied');
      if (written) return written;
    } catch {
      // The row may stay locked by the first attempt for long: the next batch takes a new one.
      this.#writer = undefined;
      onSettled('unknown');
      throw unknown(lost);
    }
    throw refusal;
  }

  /** A new identity. One whose registration was lost is not used. */
  async #register(): Promise<string> {
    const writer = randomUUID();
    try {
      await this.#store.register(writer);
    } catch (error) {
      if (failureOf(error) !== 'unknown') throw error;
      throw new ConnectionError('lost', 'the connection broke before anything was sent', error);
    }
    this.#seq = 0;
    return writer;
  }
}

/** Whether it says nothing of the batch: no answer, no connection, or a conflict with an attempt under way. */
function isUnheard(error: unknown): boolean {
  const failure = failureOf(error);
  // Without a SQLSTATE it is the pool that was busy, and nothing was sent.
  if (failure === 'busy' || failure === 'full') return codeOf(error) === undefined;
  return failure !== undefined;
}

/** Whether a server said so, one that takes writes, and not the way there. */
const isAnswer = (error: unknown): boolean =>
  codeOf(error) !== undefined && /^(conflict|busy|full)$/.test(failureOf(error) ?? '');

const unknown = (cause: unknown) =>
  new Problem(
    'outcome_unknown',
    'the connection broke while the commit was in flight; the same Idempotency-Key finds out whether it was counted',
    { cause },
  );

/** Nothing was applied, and the next attempt, under a number of its own, can succeed. */
export const mayBeRetried = (error: unknown): boolean =>
  isConflict(error) ||
  failureOf(error) === 'lost' ||
  codeOf(error) === UNIQUE_VIOLATION ||
  isFenced(error) ||
  isForgotten(error);

/** Another replica used the same key at the same moment: the next attempt finds it. */
const UNIQUE_VIOLATION = '23505';

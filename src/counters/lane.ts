import { randomUUID } from 'node:crypto';
import { retry } from '../concurrency/retry.ts';
import { ConnectionError, failureOf, isConflict } from '../database/failure.ts';
import { codeOf } from '../errors/caught.ts';
import { Problem } from '../errors/problem.ts';
import type { Batch } from './batch.ts';
import { type BatchId, type CounterStore, isFenced, isForgotten, type Written } from './store.ts';

/** The possible outcomes of a commit whose answer was lost. */
export const settlements = ['applied', 'not applied', 'unknown'] as const;
export type Settlement = (typeof settlements)[number];

export interface LaneOptions {
  /** How long to try to settle a lost answer while no server answers, in milliseconds. */
  settleMsMax: number;
  onSettled: (settlement: Settlement) => void;
  /** Aborted when all waiting has to end. */
  closing: AbortSignal;
}

/** The delay between two attempts to settle a lost answer, in milliseconds. */
const DELAY = { delayMsBase: 10, delayMsMax: 250 };

/**
 * How long to try to settle a lost answer while a server answers but cannot tell the outcome, in milliseconds: the first
 * attempt, whose connection is lost, still holds the lock on the writer's row. Other counters must not wait for that as
 * long as for a failover.
 */
const ANSWERED_MS_MAX = 10_000;

/**
 * Writes one batch after another, each exactly once, whatever happens to connections. Each batch carries the identity of
 * the writer and a number, as the messages of an idempotent producer do (KIP-98 of Apache Kafka), and the database
 * applies each number once. No clock is involved: a process that was paused for a day still finds out the correct outcome.
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

  /** A clock, in milliseconds, that stops while a lost answer is being settled. */
  now(): number {
    return performance.now() - this.#settlingMs;
  }

  /**
   * Writes a batch. Must not be called while another batch is being written.
   *
   * @param lockMs how long to wait for each lock, in milliseconds; by default, and at most, as long as the store does
   * @throws {Problem} `outcome_unknown` when the outcome could not be found out in time
   * @throws the reason of `closing`, if it is aborted: nothing was applied
   * @throws the error with which the server refused the batch: nothing was applied
   */
  async write(batch: Batch, lockMs?: number): Promise<Written> {
    this.#options.closing.throwIfAborted();
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
   * Settles a lost answer: sends the same batch under the same number until there is an answer. Whichever attempt takes the
   * number first is applied, on whichever server. If this attempt is refused, closing the number tells what the first one
   * wrote.
   */
  async #settle(batch: Batch, id: BatchId, lost: unknown): Promise<Written> {
    const { settleMsMax, onSettled, closing } = this.#options;
    let refusal: unknown;
    let answeredSince: number | undefined;
    const hasAnsweredTooLong = (error: unknown) => {
      answeredSince = isAnswer(error) ? (answeredSince ?? performance.now()) : undefined;
      return answeredSince !== undefined && performance.now() - answeredSince > ANSWERED_MS_MAX;
    };
    const attempt = async () => {
      if (refusal === undefined) {
        try {
          return { applied: false, written: await this.#store.write(batch, id) };
        } catch (error) {
          if (isInconclusive(error) || isForgotten(error)) throw error;
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
        // The first attempt holds the lock on the writer's row, so closing the number is retried until that attempt ends.
        retryable: (error) =>
          (isInconclusive(error) || (refusal !== undefined && failureOf(error) !== undefined)) &&
          !hasAnsweredTooLong(error),
        signal: closing,
      });
      onSettled(applied ? 'applied' : 'not applied');
      if (written) return written;
    } catch {
      // The first attempt may hold the lock on the row for long, so the next batch registers a new writer.
      this.#writer = undefined;
      onSettled('unknown');
      throw outcomeUnknown(lost);
    }
    throw refusal;
  }

  /** Registers a new identity. If the answer is lost, this identity is not used. */
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

/** Whether the error leaves the outcome open: no answer, no connection, or a conflict with an attempt in progress. */
function isInconclusive(error: unknown): boolean {
  const failure = failureOf(error);
  // Without a SQLSTATE, it was the pool that was busy, and nothing was sent.
  if (failure === 'busy' || failure === 'full') return codeOf(error) === undefined;
  return failure !== undefined;
}

/** Whether the error comes from a server that takes writes, and not from the connection to it. */
const isAnswer = (error: unknown): boolean =>
  codeOf(error) !== undefined && /^(conflict|busy|full)$/.test(failureOf(error) ?? '');

const outcomeUnknown = (cause: unknown) =>
  new Problem(
    'outcome_unknown',
    'the connection broke while the commit was in flight; repeat the request with the same Idempotency-Key to find out whether it was counted',
    { cause },
  );

/** Whether nothing was applied and another attempt, under a new number, can succeed. */
export const mayBeRetried = (error: unknown): boolean =>
  isConflict(error) ||
  failureOf(error) === 'lost' ||
  codeOf(error) === UNIQUE_VIOLATION ||
  isFenced(error) ||
  isForgotten(error);

/** Another replica used the same key, or created the same counter, at the same moment: the next attempt finds it. */
const UNIQUE_VIOLATION = '23505';

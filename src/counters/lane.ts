import { randomUUID } from 'node:crypto';
import { retry } from '../concurrency/retry.ts';
import { ConnectionError, failureOf } from '../database/failure.ts';
import { codeOf } from '../errors/caught.ts';
import { OUTCOME_UNKNOWN, Problem } from '../errors/problem.ts';
import { refusalOf } from './batch-refusal.ts';
import type { BatchId, CounterStore } from './store.ts';
import { ANSWERED_MS_MAX, SETTLE } from './waits.ts';

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
  #registeredMs = 0;

  constructor(store: CounterStore, options: LaneOptions) {
    this.#store = store;
    this.#options = options;
  }

  /** A clock, in milliseconds, that stops while a lost answer is being settled. */
  now(): number {
    return performance.now() - this.#settlingMs;
  }

  /** How long the first commit took, in milliseconds. */
  get registeredMs(): number {
    return this.#registeredMs;
  }

  /**
   * Writes a batch under the next number. Must not be called while another batch is being written.
   *
   * @param act writes the batch, in one transaction that takes the number
   * @param recover called when the answer was lost and `act` was applied, with what the writer's row stores of it
   * @throws {Problem} `outcome_unknown` when the outcome could not be found out in time
   * @throws {ConnectionError} `lost` when the connection broke and nothing was applied
   * @throws the reason of `closing`, if it is aborted: nothing was applied
   * @throws the error with which the server refused the batch: nothing was applied
   */
  async write<T>(act: (id: BatchId) => Promise<T>, recover: (values: number[]) => T): Promise<T> {
    this.#options.closing.throwIfAborted();
    this.#writer ??= await this.#register();
    this.#seq += 1;
    const id = { writer: this.#writer, seq: this.#seq };
    try {
      return await act(id);
    } catch (error) {
      if (refusalOf(error) === 'forgotten') this.#writer = undefined;
      if (failureOf(error) !== 'unknown') throw error;
      const since = performance.now();
      const values = await this.#settle(id, error).finally(() => {
        this.#settlingMs += performance.now() - since;
      });
      if (values) return recover(values);
      throw new ConnectionError('lost', 'the connection broke, and the commit was not applied', error);
    }
  }

  /**
   * Settles a lost answer: closes the number of the batch, on whichever server answers. From then on, no attempt under this
   * number can be applied, and the writer's row says whether one was.
   *
   * @returns what was written; undefined: nothing was applied
   */
  async #settle(id: BatchId, lost: unknown): Promise<number[] | undefined> {
    const { settleMsMax, onSettled, closing } = this.#options;
    let answeredSince: number | undefined;
    const hasAnsweredTooLong = (error: unknown) => {
      answeredSince = isAnswer(error) ? (answeredSince ?? performance.now()) : undefined;
      return answeredSince !== undefined && performance.now() - answeredSince > ANSWERED_MS_MAX;
    };
    try {
      const values = await retry(() => this.#store.close(id), {
        ...SETTLE,
        attemptsMax: Number.POSITIVE_INFINITY,
        elapsedMsMax: settleMsMax,
        // The attempt whose answer was lost holds the lock on the writer's row until it ends.
        retryable: (error) => failureOf(error) !== undefined && !hasAnsweredTooLong(error),
        signal: closing,
      });
      onSettled(values ? 'applied' : 'not applied');
      return values;
    } catch {
      // That attempt may hold the lock on the row for long, so the next batch registers a new writer.
      this.#writer = undefined;
      onSettled('unknown');
      throw outcomeUnknown(lost);
    }
  }

  /** Registers a new identity. If the answer is lost, this identity is not used. */
  async #register(): Promise<string> {
    const writer = randomUUID();
    const since = performance.now();
    try {
      await this.#store.register(writer);
    } catch (error) {
      if (failureOf(error) !== 'unknown') throw error;
      throw new ConnectionError('lost', 'the connection broke before anything was sent', error);
    }
    this.#seq = 0;
    this.#registeredMs = performance.now() - since;
    return writer;
  }
}

/** Whether the error comes from a server that takes writes, and not from the connection to it. */
const isAnswer = (error: unknown): boolean =>
  codeOf(error) !== undefined && /^(conflict|busy|full)$/.test(failureOf(error) ?? '');

const outcomeUnknown = (cause: unknown) => new Problem('outcome_unknown', OUTCOME_UNKNOWN, { cause });

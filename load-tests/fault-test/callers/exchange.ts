import { setTimeout } from 'node:timers/promises';
import type { Journal } from '../journal/journal.ts';
import { incrementsOf, legitimateRefusals, type Operation } from '../journal/operation.ts';
import { pick, type Random } from '../world/random.ts';
import { type AttemptResult, HttpClient } from './http-client.ts';
import { requestOf } from './request.ts';

/** A process of the service. Its port on this machine may change when it is restarted. */
export interface Target {
  readonly port: number;
  /** How it ended, if no fault ended it. */
  readonly died?: string | undefined;
}

/** The pause of a client after a refusal, in milliseconds: it doubles from the minimum to the maximum. */
export const PAUSE_MS_MIN = 5;
const PAUSE_MS_MAX = 250;

export const longerPause = (ms: number): number => Math.min(PAUSE_MS_MAX, ms * 2);

/** The timeout of a request, in milliseconds: longer than the service needs to determine the outcome of a lost commit. */
export const TIMEOUT_MS = 30_000;

/** The most acknowledged requests to remember whose keys may expire. */
const EXPIRABLE_MAX = 200;

/** Sends operations, and records their outcomes in the journal. */
export class Exchange {
  readonly #journal: Journal;
  readonly #replicas: readonly Target[];
  readonly #random: Random;
  readonly #client = new HttpClient();
  #expirable: number[] = [];
  #acknowledged = 0;
  #lastAt = performance.now();
  #longestGapMs = 0;

  constructor(journal: Journal, replicas: readonly Target[], random: Random) {
    this.#journal = journal;
    this.#replicas = replicas;
    this.#random = random;
  }

  /** The number of acknowledged increments. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Returns the longest time without an acknowledgement since the previous call, in milliseconds. */
  takeLongestGapMs(): number {
    const gap = Math.max(this.#longestGapMs, performance.now() - this.#lastAt);
    this.#longestGapMs = 0;
    return gap;
  }

  /** Starts to measure gaps from now on. */
  resetGap(): void {
    this.#lastAt = performance.now();
  }

  /** Closes all connections; requests in flight end with an unknown outcome. */
  close(): void {
    this.#client.close();
  }

  send(
    operation: Operation,
    replica = pick(this.#random, this.#replicas),
    timeoutMs = TIMEOUT_MS,
  ): Promise<AttemptResult> {
    return this.#client.send(replica.port, requestOf(operation, this.#journal.run), timeoutMs);
  }

  /** Reads the value of a counter; `missing`: it does not exist; undefined: it could not be read. */
  read(name: string, timeoutMs: number): Promise<number | 'missing' | undefined> {
    return this.#client.read(pick(this.#random, this.#replicas).port, name, timeoutMs);
  }

  /**
   * Records the answer to an operation.
   *
   * @param isRetry whether an earlier attempt had an unknown outcome, which a refusal of this attempt does not determine
   * @returns whether the outcome is known
   */
  record(operation: Operation, answer: AttemptResult, isRetry: boolean): boolean {
    const known = answer.outcome === 'acknowledged' || (answer.outcome === 'refused' && !isRetry);
    this.#journal.end(operation, known ? answer.outcome : 'unknown', {
      ...answer,
      ...(isRetry ? { again: true } : {}),
    });
    if (answer.outcome !== 'acknowledged') return known;
    const now = performance.now();
    this.#acknowledged += incrementsOf(operation).length;
    this.#longestGapMs = Math.max(this.#longestGapMs, now - this.#lastAt);
    this.#lastAt = now;
    return true;
  }

  /** Records an answer that no fault explains. */
  recordUnexpected(operation: Operation, unexpected: string): void {
    this.#journal.end(operation, operation.outcome, { unexpected });
  }

  /** Marks an acknowledged operation that will not be sent again: its key may expire. */
  allowExpiry({ id }: Operation): void {
    this.#expirable.push(id);
    if (this.#expirable.length > EXPIRABLE_MAX) this.#expirable.shift();
  }

  /** Returns the most recent operations whose keys may expire, and forgets them. */
  takeExpirable(): number[] {
    const expirable = this.#expirable;
    this.#expirable = [];
    return expirable;
  }

  /**
   * Retries an operation until its outcome is known or the time limit, in milliseconds, is reached. If an earlier attempt
   * may still be in flight, a legitimate refusal must be final, as "sold out" is for a ticket.
   *
   * @param signal aborted when the outcome is no longer needed
   */
  async settle(operation: Operation, elapsedMsMax: number, signal?: AbortSignal): Promise<void> {
    const deadline = performance.now() + elapsedMsMax;
    const isOver = () => performance.now() >= deadline || signal?.aborted;
    for (let pauseMs = PAUSE_MS_MIN; !isOver(); pauseMs = longerPause(pauseMs)) {
      const answer = await this.send(operation);
      if (this.record(operation, answer, true)) return;
      // If an earlier attempt had been counted, its key would have replayed that answer.
      if (answer.outcome === 'refused' && legitimateRefusals(operation).includes(answer.code))
        return this.#journal.end(operation, 'refused', answer);
      await setTimeout(pauseMs);
    }
  }

  /** Sends an acknowledged operation again: the answer must have the same values and be marked as a replay. */
  async confirm(operation: Operation): Promise<void> {
    const answer = await this.send(operation);
    if (answer.outcome === 'acknowledged') {
      const same = answer.replayed && answer.values.join() === operation.values?.join();
      if (!same)
        this.recordUnexpected(
          operation,
          `sent again: ${answer.replayed ? '' : 'not '}marked as a replay, values ${answer.values.join()}`,
        );
    } else if ('unexpected' in answer) this.recordUnexpected(operation, answer.unexpected);
  }

  /** Sends a request with a key that has expired and was removed: it must be counted as a new one. */
  async reuseKey(id: number): Promise<void> {
    const operation = this.#journal.begin('again', String(id));
    const answer = await this.send(operation);
    this.record(operation, answer, false);
    if ('replayed' in answer && answer.replayed)
      this.recordUnexpected(operation, 'answered as a replay, although the key had expired');
  }

  /**
   * Sends increments to a replica until it acknowledges one: by then, it has determined the outcomes of lost commits.
   *
   * @throws {Error} if it has ended by itself, or acknowledges none within the time limit, in milliseconds
   */
  async probe(replica: Target, elapsedMsMax: number): Promise<void> {
    const deadline = performance.now() + elapsedMsMax;
    for (let pauseMs = PAUSE_MS_MIN; performance.now() < deadline; ) {
      if (replica.died)
        throw new Error(`the replica on port ${replica.port} ended by itself: ${replica.died}`);
      // A full journal ends the run.
      if (this.#journal.full) return;
      const operation = this.#journal.begin('single');
      this.record(operation, await this.send(operation, replica), false);
      if (operation.outcome === 'acknowledged') return;
      await setTimeout(pauseMs);
      pauseMs = longerPause(pauseMs);
    }
    throw new Error(
      `the replica on port ${replica.port} acknowledged nothing within ${elapsedMsMax / 1000} s`,
    );
  }
}

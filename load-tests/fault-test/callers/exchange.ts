import { setTimeout } from 'node:timers/promises';
import type { Journal } from '../journal/journal.ts';
import { incrementsOf, type Operation, refusalsOf } from '../journal/operation.ts';
import { pick, type Random } from '../world/random.ts';
import { HttpClient, type TryResult } from './http-client.ts';
import { requestOf } from './request.ts';

/** A process of the service, at a port of this machine that may change when it is started again. */
export interface Target {
  readonly port: number;
}

/** How long a client that was refused waits before it asks again, in milliseconds: this long at first, then longer. */
export const PAUSE_MS_MIN = 5;
const PAUSE_MS_MAX = 250;

export const longer = (ms: number): number => Math.min(PAUSE_MS_MAX, ms * 2);

/** Longer than the service may take to find out what became of a lost answer, in milliseconds. */
export const PATIENT_MS = 30_000;

/** Acknowledged requests that no client sends again, at most: their keys can expire. */
const FINISHED_MAX = 200;

/** Sends operations and writes down what became of them. */
export class Exchange {
  readonly #journal: Journal;
  readonly #replicas: readonly Target[];
  readonly #random: Random;
  readonly #client = new HttpClient();
  #finished: number[] = [];
  #acknowledged = 0;
  #lastAt = performance.now();
  #longestGapMs = 0;

  constructor(journal: Journal, replicas: readonly Target[], random: Random) {
    this.#journal = journal;
    this.#replicas = replicas;
    this.#random = random;
  }

  /** Increments that were acknowledged. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** The longest time without an acknowledgement since this was last asked, in milliseconds. */
  takeLongestGapMs(): number {
    const gap = Math.max(this.#longestGapMs, performance.now() - this.#lastAt);
    this.#longestGapMs = 0;
    return gap;
  }

  /** From now on, gaps count. */
  begin(): void {
    this.#lastAt = performance.now();
  }

  /** Hangs up, whatever is under way. */
  close(): void {
    this.#client.close();
  }

  send(
    operation: Operation,
    replica = pick(this.#random, this.#replicas),
    patienceMs = PATIENT_MS,
  ): Promise<TryResult> {
    return this.#client.send(replica.port, requestOf(operation, this.#journal.run), patienceMs);
  }

  /** The value of a counter; `missing`: there is none; undefined: it could not be read. */
  read(name: string, patienceMs: number): Promise<number | 'missing' | undefined> {
    return this.#client.read(pick(this.#random, this.#replicas).port, name, patienceMs);
  }

  /**
   * @param again whether it was sent before with an unknown outcome: then a refusal says nothing about that
   * @returns whether the outcome is known now
   */
  record(operation: Operation, answer: TryResult, again: boolean): boolean {
    const known = answer.outcome === 'acknowledged' || (answer.outcome === 'refused' && !again);
    this.#journal.end(operation, known ? answer.outcome : 'unknown', {
      ...answer,
      ...(again ? { again } : {}),
    });
    if (answer.outcome !== 'acknowledged') return known;
    const now = performance.now();
    this.#acknowledged += incrementsOf(operation).length;
    this.#longestGapMs = Math.max(this.#longestGapMs, now - this.#lastAt);
    this.#lastAt = now;
    return true;
  }

  object(operation: Operation, unexpected: string): void {
    this.#journal.end(operation, operation.outcome, { unexpected });
  }

  /** Says that this acknowledged one was sent only once, and will not be sent again. */
  finish({ id }: Operation): void {
    this.#finished.push(id);
    if (this.#finished.length > FINISHED_MAX) this.#finished.shift();
  }

  /** The last ones that were acknowledged and were sent only once. */
  takeFinished(): number[] {
    const finished = this.#finished;
    this.#finished = [];
    return finished;
  }

  /**
   * Sends an operation as often as it takes to have an answer, at most for that long in milliseconds. Where an earlier
   * try may still be under way, a refusal that it deserves must be final, as that of a ticket is.
   *
   * @param signal aborted when the answer is not wanted any more
   */
  async settle(operation: Operation, elapsedMsMax: number, signal?: AbortSignal): Promise<void> {
    const deadline = performance.now() + elapsedMsMax;
    const isOver = () => performance.now() >= deadline || signal?.aborted;
    for (let pauseMs = PAUSE_MS_MIN; !isOver(); pauseMs = longer(pauseMs)) {
      const answer = await this.send(operation);
      if (this.record(operation, answer, true)) return;
      // Had it been counted by an earlier try, its key would say so.
      if (answer.outcome === 'refused' && refusalsOf(operation).includes(answer.code))
        return this.#journal.end(operation, 'refused', answer);
      await setTimeout(pauseMs);
    }
  }

  /** Sends an acknowledged operation again: the answer must be the same one, and say that it is. */
  async confirm(operation: Operation): Promise<void> {
    const answer = await this.send(operation);
    if (answer.outcome === 'acknowledged') {
      const same = answer.replayed && answer.values.join() === operation.values?.join();
      if (!same)
        this.object(
          operation,
          `sent again: ${answer.replayed ? '' : 'not '}replayed, ${answer.values.join()}`,
        );
    } else if ('unexpected' in answer) this.object(operation, answer.unexpected);
  }

  /** Uses a key again that has expired and was removed: it must count like any other. */
  async countAgain(id: number): Promise<void> {
    const operation = this.#journal.begin('again', String(id));
    const answer = await this.send(operation);
    this.record(operation, answer, false);
    if ('replayed' in answer && answer.replayed) this.object(operation, 'an expired key was still known');
  }

  /**
   * Asks that replica until it acknowledges: whatever it had to settle is settled then.
   *
   * @throws {Error} when it does not within that time, in milliseconds
   */
  async probe(replica: Target, elapsedMsMax: number): Promise<void> {
    const deadline = performance.now() + elapsedMsMax;
    for (let pauseMs = PAUSE_MS_MIN; performance.now() < deadline; ) {
      // The run is about to end for that.
      if (this.#journal.full) return;
      const operation = this.#journal.begin('single');
      this.record(operation, await this.send(operation, replica), false);
      if (operation.outcome === 'acknowledged') return;
      await setTimeout(pauseMs);
      pauseMs = longer(pauseMs);
    }
    throw new Error(`the replica at port ${replica.port} did not come back within ${elapsedMsMax} ms`);
  }
}

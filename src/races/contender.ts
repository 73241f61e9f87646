import type { EntityManager } from '@mikro-orm/postgresql';
import type { FastifyBaseLogger } from 'fastify';
import { messageOf } from '../errors/caught.ts';
import type { Add } from '../concurrency/history.ts';
import { RetriesExhaustedError, retry } from '../concurrency/retry.ts';
import { failureOf, isConflict } from '../database/failure.ts';
import type { Statement } from '../database/sessions.ts';
import type { Strategy } from '../strategies/strategy.ts';

/** What a contender has to do. */
export interface Assignment {
  strategy: Strategy;
  /** The post to increment. */
  pk: number;
  /** How often. */
  increments: number;
  /** The EntityManager for one attempt, with an empty identity map. */
  newSession: () => EntityManager;
  signal: AbortSignal;
  log: FastifyBaseLogger;
  /** Told of each increment when its outcome is known. */
  onIncrement?: ((increment: Increment) => void) | undefined;
}

/** One increment, by whom, and the statements that it took, where they are recorded. */
export interface Increment extends Add {
  worker: number;
  backendPid: number;
  statements: Statement[];
}

/** A hot row makes many attempts collide, so waits are short; both ends are bounded. */
const RETRY = { elapsedMsMax: 10_000, delayMsBase: 0.5, delayMsMax: 100 };

/** An increment of which nobody can tell whether it counts: the caller must not be told that it failed. */
export class OutcomeUnknownError extends Error {
  override name = 'OutcomeUnknownError';
  readonly failure = 'unknown';
}

/** One who adds 1 so many times, one after another, and remembers what became of each. */
export class Contender {
  readonly worker: number;
  readonly history: Increment[] = [];
  /** Attempts that somebody else was faster than. */
  conflicts = 0;
  /** Attempts after the first one. */
  retries = 0;
  backendPid = 0;
  readonly #assignment: Assignment;
  #statements: Statement[] = [];

  constructor(assignment: Assignment, worker: number) {
    this.#assignment = assignment;
    this.worker = worker;
  }

  get acknowledged(): number {
    return this.history.filter((add) => add.outcome === 'acknowledged').length;
  }

  async run(backendPid: number): Promise<void> {
    this.backendPid = backendPid;
    const { increments, signal, onIncrement } = this.#assignment;
    for (let i = 0; i < increments; i += 1) {
      signal.throwIfAborted();
      this.#statements = [];
      const startedAt = performance.now();
      const done = await this.#increment();
      const about = { worker: this.worker, backendPid, statements: this.#statements };
      const increment = { startedAt, endedAt: performance.now(), by: 1, ...done, ...about };
      this.history.push(increment);
      onIncrement?.(increment);
    }
  }

  /** Keeps a statement with the increment that it was sent for. */
  record(statement: Statement): void {
    this.#statements.push(statement);
  }

  async #increment(): Promise<Pick<Add, 'outcome' | 'value'>> {
    const { strategy, pk, newSession, signal } = this.#assignment;
    const retryable = (error: unknown) => isConflict(error) || (strategy.conflict?.(error) ?? false);
    try {
      const value = await retry(() => strategy.increment(newSession(), pk), {
        ...RETRY,
        attemptsMax: strategy.attempts,
        retryable,
        onRetry: (error) => this.#onRetry(error),
        signal,
      });
      return { outcome: 'acknowledged', ...(value === undefined ? {} : { value }) };
    } catch (error) {
      if (failureOf(error) === 'unknown') {
        throw new OutcomeUnknownError(`worker ${this.worker} lost its connection during a commit`, {
          cause: error,
        });
      }
      if (strategy.claim !== 'rejects' || !(error instanceof RetriesExhaustedError)) throw error;
      this.#onConflict(error.cause);
      return { outcome: 'refused' };
    }
  }

  #onRetry(error: unknown): void {
    this.#onConflict(error);
    this.retries += 1;
  }

  #onConflict(error: unknown): void {
    this.conflicts += 1;
    const mismatch =
      error instanceof Error && error.name === 'OptimisticLockError' ? 'version mismatch' : 'conflict';
    const about = { worker: this.worker, backend_pid: this.backendPid, reason: messageOf(error) };
    this.#assignment.log.debug(about, mismatch);
  }
}

import type { EntityManager } from '@mikro-orm/postgresql';
import type { FastifyBaseLogger } from 'fastify';
import type { Add } from '../concurrency/history.ts';
import { retry } from '../concurrency/retry.ts';
import { failureOf, isConflict } from '../database/failure.ts';
import type { Strategy } from './strategy.ts';

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
}

/** A hot row makes many attempts collide, so there are many of them, short apart; both ends are bounded. */
const RETRY = { attemptsMax: 1000, elapsedMsMax: 10_000, delayMsBase: 0.5, delayMsMax: 32 };

/** An increment of which nobody can tell whether it counts: the caller must not be told that it failed. */
export class OutcomeUnknownError extends Error {
  override name = 'OutcomeUnknownError';
  readonly failure = 'unknown';
}

/** One who adds 1 so many times, one after another, and remembers what became of each. */
export class Contender {
  readonly worker: number;
  readonly history: Add[] = [];
  /** Attempts that somebody else was faster than. */
  conflicts = 0;
  /** Attempts after the first one. */
  retries = 0;
  backendPid = 0;
  readonly #assignment: Assignment;

  constructor(assignment: Assignment, worker: number) {
    this.#assignment = assignment;
    this.worker = worker;
  }

  get acknowledged(): number {
    return this.history.filter((add) => add.outcome === 'acknowledged').length;
  }

  async run(backendPid: number): Promise<void> {
    this.backendPid = backendPid;
    for (let i = 0; i < this.#assignment.increments; i += 1) {
      this.#assignment.signal.throwIfAborted();
      const startedAt = performance.now();
      const done = await this.#increment();
      this.history.push({ startedAt, endedAt: performance.now(), by: 1, ...done });
    }
  }

  async #increment(): Promise<Pick<Add, 'outcome' | 'value'>> {
    const { strategy, pk, newSession, signal } = this.#assignment;
    const attempt = () => strategy.increment(newSession(), pk);
    try {
      const value = strategy.retry
        ? await retry(attempt, { ...RETRY, retryable: isConflict, onRetry: (e) => this.#onRetry(e), signal })
        : await attempt();
      return { outcome: 'acknowledged', value };
    } catch (error) {
      if (failureOf(error) === 'unknown') {
        throw new OutcomeUnknownError(`worker ${this.worker} lost its connection during a commit`, {
          cause: error,
        });
      }
      if (strategy.retry || !isConflict(error)) throw error;
      this.#onConflict(error);
      return { outcome: 'refused' };
    }
  }

  #onRetry(error: unknown): void {
    this.#onConflict(error);
    this.retries += 1;
  }

  #onConflict(error: unknown): void {
    this.conflicts += 1;
    const { name, message } = error as Error;
    const mismatch = name === 'OptimisticLockError' ? 'version mismatch' : 'conflict';
    this.#assignment.log.debug(
      { worker: this.worker, backend_pid: this.backendPid, reason: message },
      mismatch,
    );
  }
}

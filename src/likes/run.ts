import type { EntityManager } from '@mikro-orm/postgresql';
import type { FastifyBaseLogger } from 'fastify';
import { RetriesExhaustedError, retry } from '../concurrency/retry.ts';
import { isConflict } from '../database/failure.ts';
import { messageOf } from '../errors/caught.ts';
import { isSoldOut } from './stock.ts';
import type { Strategy } from './strategy.ts';

interface RunOptions {
  /** The EntityManager for one attempt, with an empty identity map. */
  newSession: () => EntityManager;
  signal: AbortSignal;
  /** The time limit for retries, in milliseconds. */
  retryMsMax?: number | undefined;
  /** Each conflict is logged to it, at level debug. */
  log: FastifyBaseLogger;
}

/** The outcome of one increment, over all its attempts. */
interface StrategyRun {
  outcome: 'acknowledged' | 'refused';
  /** Whether it was refused because the stock is used up, and not because of a conflict. */
  soldOut?: boolean;
  /** The number of likes that it wrote, if the strategy knows it. */
  value?: number;
  /** Attempts that met a conflict. */
  conflicts: number;
  /** Attempts after the first one. */
  retries: number;
}

/** The limits of the waits between attempts: short, because many attempts collide on a hot row. */
const DELAYS = { delayMsBase: 0.5, delayMsMax: 100 };

/** How long an increment may retry when the number of contending callers is not known, in milliseconds. */
export const RETRY_MS_MAX = 30_000;

/**
 * Adds 1 to a post, once, with this strategy and its own retry policy.
 *
 * @throws {RetriesExhaustedError} when a strategy that does not refuse met conflicts for too long
 * @throws any other error of the increment (it may have been applied if `failureOf` is `unknown`); the signal's reason
 *   when it is aborted
 */
export async function runStrategy(strategy: Strategy, pk: number, options: RunOptions): Promise<StrategyRun> {
  const { newSession, signal, retryMsMax = RETRY_MS_MAX, log } = options;
  let conflicts = 0;
  let retries = 0;
  const report = (error: unknown) => {
    conflicts += 1;
    const mismatch = error instanceof Error && error.name === 'OptimisticLockError';
    log.debug({ reason: messageOf(error) }, mismatch ? 'version mismatch' : 'conflict');
  };
  try {
    const value = await retry(() => strategy.increment(newSession(), pk), {
      ...DELAYS,
      elapsedMsMax: retryMsMax,
      attemptsMax: strategy.attempts,
      retryable: (error) => isConflict(error) || (strategy.conflict?.(error) ?? false),
      onRetry: (error) => {
        report(error);
        retries += 1;
      },
      signal,
    });
    return { outcome: 'acknowledged', ...(value === undefined ? {} : { value }), conflicts, retries };
  } catch (error) {
    if (isSoldOut(error)) return { outcome: 'refused', soldOut: true, conflicts, retries };
    if (strategy.claim !== 'rejects' || !(error instanceof RetriesExhaustedError)) throw error;
    report(error.cause);
    return { outcome: 'refused', conflicts, retries };
  }
}

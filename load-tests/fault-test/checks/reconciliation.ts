import { progress } from '../../../src/command-line/progress.ts';
import { check, checkReplays } from './checker.ts';
import { type Damage, damageOf } from './damage.ts';
import type { Journal } from '../journal/journal.ts';
import type { Exchange } from '../callers/exchange.ts';
import { inParallel } from '../callers/in-parallel.ts';
import { isKeyed, type Operation } from '../journal/operation.ts';
import type { Postgres } from '../world/postgres.ts';
import { readTruth } from './truth.ts';
import type { Violation } from './violation.ts';

/** The result of the checks at the end of a run. */
export interface Reconciliation {
  violations: Violation[];
  damage: Damage[];
  /** Operations with an unknown outcome that a retry has determined. */
  resolved: readonly Operation[];
}

/** The time limit for retrying an operation with an unknown outcome, in milliseconds. */
const SETTLE_MS_MAX = 60_000;

/** One in ten acknowledged requests is sent again, at most this many. Each must be answered as a replay. */
const CONFIRMED_MAX = 1000;

/**
 * Compares the answers with the database, retries the requests with an unknown outcome, sends some acknowledged requests
 * again, and compares once more. Call it when no request is in flight.
 */
export async function reconcile(
  postgres: Pick<Postgres, 'connect'>,
  journal: Journal,
  exchange: Exchange,
  clients: number,
): Promise<Reconciliation> {
  progress('comparing the answers with the database', 0, 3);
  const before = await readTruth(postgres, journal);
  journal.truth(before);
  const violations = check(journal, before, false);
  const keyed = journal.operations.filter(isKeyed);
  const unknown = keyed.filter(({ outcome }) => outcome === 'unknown');
  const acknowledged = keyed.filter(
    ({ id, outcome }) => outcome === 'acknowledged' && !journal.expired.has(id),
  );
  const step = Math.max(10, Math.ceil(acknowledged.length / CONFIRMED_MAX));
  const sample = acknowledged.filter((_, i) => i % step === 0);
  progress('retrying requests with an unknown outcome', 1, 3);
  await inParallel(clients, unknown, (one) => exchange.settle(one, SETTLE_MS_MAX));
  await inParallel(clients, sample, (one) => exchange.confirm(one));
  progress('comparing the answers with the database again', 2, 3);
  const after = await readTruth(postgres, journal);
  journal.truth(after);
  return {
    violations: [...violations, ...checkReplays(unknown, before), ...check(journal, after, true)],
    damage: damageOf(journal, after),
    resolved: unknown.filter(({ outcome }) => outcome === 'acknowledged'),
  };
}

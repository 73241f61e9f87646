import { check, checkReplays } from './checker.ts';
import { type Damage, damageOf } from './damage.ts';
import type { Journal } from '../journal/journal.ts';
import type { Exchange } from '../callers/exchange.ts';
import { inParallel } from '../callers/in-parallel.ts';
import { isKeyed, type Operation } from '../journal/operation.ts';
import type { Postgres } from '../world/postgres.ts';
import { readTruth } from './truth.ts';
import type { Violation } from './violation.ts';

/** What a run came to, once nothing is under way any more. */
export interface Reconciliation {
  violations: Violation[];
  damage: Damage[];
  /** Operations with an unknown outcome that sending them again has settled. */
  resolved: readonly Operation[];
}

/** How long each of them may take, in milliseconds. */
const SETTLE_MS_MAX = 60_000;

/** Acknowledged requests that are sent once more: a tenth, and not more than this. */
const CONFIRMED_MAX = 1000;

/** Compares what was told with what is counted, sends again what is unknown, and compares again. */
export async function reconcile(
  postgres: Pick<Postgres, 'connect'>,
  journal: Journal,
  exchange: Exchange,
  clients: number,
): Promise<Reconciliation> {
  const before = await readTruth(postgres, journal.run);
  journal.truth(before);
  const violations = check(journal, before, false);
  const keyed = journal.operations.filter(isKeyed);
  const open = keyed.filter(({ outcome }) => outcome === 'unknown');
  const told = keyed.filter(({ id, outcome }) => outcome === 'acknowledged' && !journal.expired.has(id));
  const step = Math.max(10, Math.ceil(told.length / CONFIRMED_MAX));
  const some = told.filter((_, i) => i % step === 0);
  await inParallel(clients, open, (one) => exchange.settle(one, SETTLE_MS_MAX));
  await inParallel(clients, some, (one) => exchange.confirm(one));
  const after = await readTruth(postgres, journal.run);
  journal.truth(after);
  return {
    violations: [...violations, ...checkReplays(open, before), ...check(journal, after, true)],
    damage: damageOf(journal, after),
    resolved: open.filter(({ outcome }) => outcome === 'acknowledged'),
  };
}

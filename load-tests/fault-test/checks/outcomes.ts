import type { History } from '../journal/history.ts';
import { incrementsOf, isDeserved } from '../journal/operation.ts';
import type { Reconciliation } from './reconciliation.ts';

/** What callers were told under a fault, and what is wrong with it. */
export interface Outcomes {
  /** Increments, as are lost and doubled. */
  acknowledged: number;
  /** Requests, as are unknown and resolved. */
  refused: number;
  unknown: number;
  resolved: number;
  lost: number;
  doubled: number;
}

export const noOutcomes = (): Outcomes => ({
  acknowledged: 0,
  refused: 0,
  unknown: 0,
  resolved: 0,
  lost: 0,
  doubled: 0,
});

type Told = Pick<Reconciliation, 'damage' | 'resolved'> & { history: History };

/**
 * Adds what came of the requests of each fault.
 *
 * @param totals those of each fault, by its number in the history
 */
export function addOutcomes(totals: readonly Outcomes[], { history, damage, resolved }: Told): void {
  for (const [i, { lost, doubled }] of damage.entries()) {
    const one = totals[i];
    if (!one) continue;
    one.lost += lost;
    one.doubled += doubled;
  }
  const settledLate = new Set(resolved);
  for (const operation of history.operations) {
    const one = totals[operation.fault];
    if (!one || isDeserved(operation)) continue;
    if (settledLate.has(operation)) {
      one.unknown += 1;
      one.resolved += 1;
    }
    one[operation.outcome] += operation.outcome === 'acknowledged' ? incrementsOf(operation).length : 1;
  }
}

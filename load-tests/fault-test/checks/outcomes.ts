import type { History } from '../journal/history.ts';
import { incrementsOf, isLegitimateRefusal } from '../journal/operation.ts';
import type { Reconciliation } from './reconciliation.ts';

/** The outcomes of requests during a fault. */
export interface Outcomes {
  /** Acknowledged increments. */
  acknowledged: number;
  /** Refused requests; legitimate refusals do not count. */
  refused: number;
  /** Requests without a known outcome before the retries. */
  unknown: number;
  /** Unknown requests whose outcome a retry with the same key determined. */
  resolved: number;
  /** Acknowledged increments that are not counted. */
  lost: number;
  /** Increments that are counted twice. */
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

type Findings = Pick<Reconciliation, 'damage' | 'resolved'> & { history: History };

/**
 * Adds the outcomes of all requests to the totals.
 *
 * @param totals one entry for each fault, in the order of the history
 */
export function addOutcomes(totals: readonly Outcomes[], { history, damage, resolved }: Findings): void {
  for (const [i, { lost, doubled }] of damage.entries()) {
    const one = totals[i];
    if (!one) continue;
    one.lost += lost;
    one.doubled += doubled;
  }
  const resolvedOperations = new Set(resolved);
  for (const operation of history.operations) {
    const one = totals[operation.fault];
    if (!one || isLegitimateRefusal(operation)) continue;
    if (resolvedOperations.has(operation)) {
      one.unknown += 1;
      one.resolved += 1;
    }
    one[operation.outcome] += operation.outcome === 'acknowledged' ? incrementsOf(operation).length : 1;
  }
}

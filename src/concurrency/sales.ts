import type { Add } from './history.ts';

/** The rules of a sale that the history violates, in words; empty if there are none. */
type Violations = string[];

/**
 * Checks the sale of a limited stock, one piece for each request, without returns. A refusal means "sold out":
 * - no more pieces are sold than there are;
 * - a refusal is correct at some moment between its request and its answer: before it ended, at least as many other
 *   requests had begun as there are pieces, not counting refused ones (one with an unknown outcome may have bought);
 * - sold out is final: a request that begins after a refusal has ended gets nothing.
 *
 * It follows that nothing is left over if anything was refused.
 */
export function checkSales(stock: number, sales: readonly Add[]): Violations {
  const sold = sales.filter(({ outcome }) => outcome === 'acknowledged');
  const refused = sales.filter(({ outcome }) => outcome === 'refused');
  const violations: Violations = [];
  if (sold.length > stock) violations.push(`sold ${sold.length} of ${stock}`);
  const arrivals = sales.filter(({ outcome }) => outcome !== 'refused').map(({ startedAt }) => startedAt);
  // Until the request that may have taken the last piece has begun, a piece is left.
  const lastAt = stock > 0 ? arrivals.toSorted((a, b) => a - b)[stock - 1] : Number.NEGATIVE_INFINITY;
  const early = refused.filter(({ endedAt }) => lastAt === undefined || endedAt < lastAt);
  if (early.length > 0) violations.push(`refused ${early.length} before it was sold out`);
  const soldOutAt = refused.reduce(
    (first, { endedAt }) => Math.min(first, endedAt),
    Number.POSITIVE_INFINITY,
  );
  const late = sold.filter(({ startedAt }) => startedAt > soldOutAt);
  if (late.length > 0) violations.push(`sold ${late.length} after it was sold out`);
  return violations;
}

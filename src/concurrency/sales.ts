import type { Add } from './history.ts';

/** The rules of a sale that the history breaks, in words; empty if it is legal. */
type Violations = string[];

/**
 * Checks the sale of a limited stock, piece by piece, to which nothing is returned. A refusal means "sold out":
 * - no more is sold than there is;
 * - a refusal is true at some moment between request and answer: before its end, as many other requests had begun as
 *   there are pieces, refused ones not counted (one with an unknown outcome may have bought);
 * - sold out is final: what begins after a refusal has ended is not sold.
 *
 * It follows that nothing is left over if anything was refused.
 */
export function checkSales(stock: number, sales: readonly Add[]): Violations {
  const sold = sales.filter(({ outcome }) => outcome === 'acknowledged');
  const refused = sales.filter(({ outcome }) => outcome === 'refused');
  const violations: Violations = [];
  if (sold.length > stock) violations.push(`sold ${sold.length} of ${stock}`);
  const arrivals = sales.filter(({ outcome }) => outcome !== 'refused').map(({ startedAt }) => startedAt);
  // Before the request that may have taken the last piece, there was one left.
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

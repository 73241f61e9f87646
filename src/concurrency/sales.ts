import type { Add } from './history.ts';

/** What a sale of a limited stock must obey and this history does not, in words. Empty: the history is legal. */
type Violations = string[];

/**
 * The rules for selling a stock one by one, where nothing comes back. A refusal means "sold out":
 * - no more is sold than there is;
 * - a refusal is true at some moment between call and answer: by its end, as many buyers as there are pieces had begun,
 *   refused ones not counted (one with an unknown outcome may have bought);
 * - sold out is for ever: nobody who begins after a refusal has ended buys.
 *
 * From the last two follows that nothing is left over when anybody was refused.
 */
export function checkSales(stock: number, sales: readonly Add[]): Violations {
  const sold = sales.filter(({ outcome }) => outcome === 'acknowledged');
  const refused = sales.filter(({ outcome }) => outcome === 'refused');
  const violations: Violations = [];
  if (sold.length > stock) violations.push(`sold ${sold.length} of ${stock}`);
  const arrivals = sales.filter(({ outcome }) => outcome !== 'refused').map(({ startedAt }) => startedAt);
  // Before the last piece could be taken, there was one to be had.
  const lastAt = stock > 0 ? arrivals.toSorted((a, b) => a - b)[stock - 1] : Number.NEGATIVE_INFINITY;
  const early = refused.filter(({ endedAt }) => lastAt === undefined || endedAt < lastAt);
  if (early.length > 0) violations.push(`${early.length} buyers were refused while there was still some`);
  const soldOutAt = refused.reduce(
    (first, { endedAt }) => Math.min(first, endedAt),
    Number.POSITIVE_INFINITY,
  );
  const late = sold.filter(({ startedAt }) => startedAt > soldOutAt);
  if (late.length > 0) violations.push(`${late.length} buyers came when it was sold out, and bought`);
  return violations;
}

import { checkSales } from '../../concurrency/sales.ts';
import type { Experiment } from './experiment.ts';

/**
 * A sale: who reads before others write sees a ticket that is gone. The table's constraint does not help there, since
 * the count that is overwritten never exceeds the stock.
 */
export const tickets: Experiment = {
  name: 'tickets',
  summary: 'Half as many tickets as buyers: each must be sold, and none twice.',
  // Only where the count is one number of the post is there something to compare with the stock while it is written.
  takes: ({ count }) => count === undefined,
  stockOf: (increments) => Math.ceil(increments / 2),
  violations: (history, stock) =>
    // Who met a conflict was told so, and not that there is no ticket left.
    checkSales(
      stock ?? 0,
      history.filter(({ outcome, soldOut }) => outcome !== 'refused' || soldOut),
    ),
};

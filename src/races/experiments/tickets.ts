import { checkSales } from '../../concurrency/sales.ts';
import type { Experiment } from './experiment.ts';

/**
 * A sale: a strategy that reads before others write sells a ticket that is gone. The table's constraint does not help,
 * since the count that is overwritten never exceeds the stock.
 */
export const tickets: Experiment = {
  name: 'tickets',
  summary: 'Half as many tickets as buyers: each must be sold, and none twice.',
  // Only where the count is one number of the post is there something to compare with the stock while it is written.
  takes: (strategy) => strategy.count === undefined,
  stockOf: (increments) => Math.ceil(increments / 2),
  violations: (history, stock) =>
    // A conflict is refused as a conflict, and not as sold out.
    checkSales(
      stock ?? 0,
      history.filter(({ outcome, soldOut }) => outcome !== 'refused' || soldOut),
    ),
};

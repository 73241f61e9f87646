import { checkSales } from '../../concurrency/sales.ts';
import type { Experiment } from './experiment.ts';

/**
 * A sale of a limited stock. A strategy that loses updates sells a ticket that is already sold. The table's constraint
 * does not prevent that, because the overwritten count never exceeds the stock.
 */
export const tickets: Experiment = {
  name: 'tickets',
  summary: 'There are half as many tickets as buyers: each ticket must be sold, and none twice.',
  // A write can compare the count with the stock only if the count is a column of the post.
  takes: (strategy) => strategy.count === undefined,
  stockOf: (increments) => Math.ceil(increments / 2),
  violations: (history, stock) =>
    // A conflict is refused as a conflict, and not as sold out.
    checkSales(
      stock ?? 0,
      history.filter(({ outcome, soldOut }) => outcome !== 'refused' || soldOut),
    ),
};

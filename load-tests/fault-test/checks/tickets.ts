import { checkSales } from '../../../src/concurrency/sales.ts';
import { TICKETS } from '../journal/operation.ts';
import type { CounterAdd } from './adds.ts';

/** Checks the sale of a round's tickets, of which there are fewer than buyers: all are sold, and no refusal was premature. */
export function checkTickets(adds: readonly CounterAdd[]): string[] {
  const sold = adds.filter(({ outcome }) => outcome === 'acknowledged').length;
  return [...(sold < TICKETS ? [`sold ${sold} of ${TICKETS}`] : []), ...checkSales(TICKETS, adds)];
}

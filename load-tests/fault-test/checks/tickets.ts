import { checkSales } from '../../../src/concurrency/sales.ts';
import { TICKETS } from '../journal/operation.ts';
import type { CounterAdd } from './adds.ts';

/** The rules for the tickets of a round, which more buyers want than there are: all are sold, and refusals are true. */
export function checkTickets(adds: readonly CounterAdd[]): string[] {
  const sold = adds.filter(({ outcome }) => outcome === 'acknowledged').length;
  return [...(sold < TICKETS ? [`sold ${sold} of ${TICKETS}`] : []), ...checkSales(TICKETS, adds)];
}

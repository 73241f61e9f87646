import { type Add, checkValues } from '../../../src/concurrency/history.ts';
import { checkSales } from '../../../src/concurrency/sales.ts';
import { PATIENT_MS } from '../callers/exchange.ts';
import { pick } from '../world/random.ts';
import type { Postgres } from '../world/postgres.ts';
import { buy, type Shop } from './buyers.ts';

export const TICKETS = 100;
export const BUYERS = 200;

/** Buyers at the same time: fewer than there are, so that some come when others have their answers. */
const AT_ONCE = 40;

/** What a round came to. */
export interface Round {
  sales: Add[];
  /** What the counter says in the end. */
  sold: number;
}

/** All buyers want a ticket of a new counter, while one of the replicas is killed and started again. */
export async function sell(postgres: Postgres, shop: Shop, name: string): Promise<Round> {
  await putUpForSale(shop, name);
  const sales: Add[] = [];
  // After a number of answers, since there is no moment of which it could be said that it is the worst.
  const killAfter = Math.floor(shop.random() * BUYERS * 0.8);
  let restarted: Promise<unknown> = Promise.resolve();
  const keys = Array.from({ length: BUYERS }, (_, buyer) => `${name}-${buyer}`).values();
  const buyer = async () => {
    for (const key of keys) {
      sales.push(await buy(shop, name, key));
      if (sales.length === killAfter + 1) restarted = restart(postgres, shop);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, buyer));
  await restarted;
  const read = await shop.client.read(pick(shop.random, shop.replicas).port, name, PATIENT_MS);
  return { sales, sold: typeof read === 'number' ? read : Number.NaN };
}

/** The rules that the round breaks; none: exactly all tickets were sold, each once, and refusals were true. */
export function violationsOf({ sales, sold }: Round): string[] {
  const acknowledged = sales.filter(({ outcome }) => outcome === 'acknowledged').length;
  return [
    ...(acknowledged === TICKETS
      ? []
      : [`${acknowledged} buyers of ${BUYERS} have one of ${TICKETS} tickets`]),
    ...(sold === TICKETS ? [] : [`the counter says ${sold}`]),
    ...checkSales(TICKETS, sales),
    ...checkValues(0, sales),
  ];
}

async function putUpForSale({ client, replicas, random }: Shop, name: string): Promise<void> {
  const answer = await client.send(
    pick(random, replicas).port,
    {
      method: 'PUT',
      path: `/counters/${name}`,
      headers: { 'if-none-match': '*' },
      body: JSON.stringify({ value: 0, min: 0, max: TICKETS }),
      refusals: [],
    },
    PATIENT_MS,
  );
  if (answer.outcome !== 'acknowledged')
    throw new Error(`the tickets could not be put up for sale: ${answer.code}`);
}

async function restart(postgres: Postgres, { replicas, random }: Shop): Promise<void> {
  const replica = pick(random, replicas);
  await replica.end('SIGKILL');
  await replica.start(postgres);
}

import type { Client } from 'pg';
import { progress } from '../../../src/command-line/progress.ts';
import type { Exchange } from '../callers/exchange.ts';
import { inParallel } from '../callers/in-parallel.ts';
import { reconcile, type Reconciliation } from '../checks/reconciliation.ts';
import { withFleet } from '../fleet.ts';
import type { History } from '../journal/history.ts';
import type { Journal } from '../journal/journal.ts';
import { TICKETS, ticketsOf } from '../journal/operation.ts';
import type { Postgres } from '../world/postgres.ts';
import { type Random, seeded } from '../world/random.ts';
import { FaultInjector } from './fault-injector.ts';

/** The number of buyers in a round. */
export const BUYERS = 2 * TICKETS;

/** The number of concurrent rounds. Batches contain tickets of several rounds, and a fault affects all of them. */
const CONCURRENT_ROUNDS = 5;

/** The number of concurrent buyers in a round: fewer than all, so that some buy after others have their answers. */
const CONCURRENT_BUYERS = 40;

/** The time limit of a buyer, in milliseconds: longer than the restart of a replica. */
const BUYER_MS_MAX = 120_000;

export interface RoundsOptions {
  rounds: number;
  replicas: number;
  seed: number;
  /** The path of the journal. */
  journal: string;
  signal: AbortSignal;
}

export interface RoundsResult extends Reconciliation, Pick<FaultInjector, 'killed' | 'cut'> {
  history: History;
  elapsedMs: number;
}

interface Sale {
  client: Client;
  journal: Journal;
  exchange: Exchange;
  injector: FaultInjector;
  random: Random;
  signal: AbortSignal;
}

/**
 * Runs rounds in which there are twice as many buyers as tickets, on the same replicas of the service, while replicas are
 * killed or lose their database connections. Then compares the answers with the database.
 *
 * @throws {Error} if a replica does not restart
 */
export async function runRounds(postgres: Postgres, options: RoundsOptions): Promise<RoundsResult> {
  const { rounds, signal } = options;
  const random = seeded(options.seed);
  const attemptsMax = rounds * BUYERS;
  return withFleet({ ...options, database: postgres, random, attemptsMax }, async (fleet) => {
    const { replicas, journal, exchange } = fleet;
    const injector = new FaultInjector(postgres, replicas, random);
    const client = await postgres.connect();
    const startedAt = performance.now();
    try {
      for (let done = 0; done < rounds; done += CONCURRENT_ROUNDS) {
        signal.throwIfAborted();
        progress(`rounds of ${BUYERS} buyers and ${TICKETS} tickets`, done, rounds);
        const count = Math.min(CONCURRENT_ROUNDS, rounds - done);
        const names = Array.from({ length: count }, (_, i) => String(done + i + 1));
        await sell({ client, journal, exchange, injector, random, signal }, names);
      }
    } finally {
      await client.end();
    }
    const elapsedMs = performance.now() - startedAt;
    await injector.allServing();
    const found = await reconcile(postgres, journal, exchange, CONCURRENT_BUYERS);
    return { ...found, history: journal, elapsedMs, killed: injector.killed, cut: injector.cut };
  });
}

async function sell(
  { client, journal, exchange, injector, random, signal }: Sale,
  rounds: string[],
): Promise<void> {
  await client.query(
    'insert into safe_counters.counters (name, value, min, max) select unnest($1::text[]), 0, 0, $2',
    [rounds.map(ticketsOf), TICKETS],
  );
  // After a random number of answers, because no moment is known to be the worst one.
  const injectAt = Math.floor(random() * BUYERS * rounds.length);
  if (injectAt === 0) injector.inject();
  let answers = 0;
  const buyers = Array.from({ length: BUYERS }, () => rounds).flat();
  await inParallel(CONCURRENT_BUYERS * rounds.length, buyers, async (round) => {
    signal.throwIfAborted();
    await exchange.settle(journal.begin('ticket', round), BUYER_MS_MAX, signal);
    answers += 1;
    if (answers === injectAt) injector.inject();
  });
}

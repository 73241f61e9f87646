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
import { Killer } from './killer.ts';

export const BUYERS = 2 * TICKETS;

/** Rounds at the same time, so that batches have tickets of several and a strike hits them all. */
const ROUNDS_AT_ONCE = 5;

/** Buyers of a round at the same time: fewer than there are, so that some come when others have their answers. */
const BUYERS_AT_ONCE = 40;

/** How long a buyer asks at most, in milliseconds: longer than a replica takes to be back. */
const BUYING_MS_MAX = 120_000;

export interface RoundsOptions {
  rounds: number;
  replicas: number;
  seed: number;
  /** Where the journal is written. */
  journal: string;
  signal: AbortSignal;
}

export interface RoundsResult extends Reconciliation, Pick<Killer, 'killed' | 'cut'> {
  history: History;
  elapsedMs: number;
}

interface Sale {
  client: Client;
  journal: Journal;
  exchange: Exchange;
  killer: Killer;
  random: Random;
  signal: AbortSignal;
}

/**
 * Sells tickets to twice as many buyers, so many times, on the same replicas of the service. Meanwhile, one of them after
 * another is killed or cut off the database. Then compares what buyers were told with what was counted.
 *
 * @throws {Error} when a replica does not start again
 */
export async function runRounds(postgres: Postgres, options: RoundsOptions): Promise<RoundsResult> {
  const { rounds, signal } = options;
  const random = seeded(options.seed);
  const attemptsMax = rounds * BUYERS;
  return withFleet({ ...options, database: postgres, random, attemptsMax }, async (fleet) => {
    const { replicas, journal, exchange } = fleet;
    const killer = new Killer(postgres, replicas, random);
    const client = await postgres.connect();
    const startedAt = performance.now();
    try {
      for (let done = 0; done < rounds; done += ROUNDS_AT_ONCE) {
        signal.throwIfAborted();
        progress(`${BUYERS} buyers, ${TICKETS} tickets`, done, rounds);
        const count = Math.min(ROUNDS_AT_ONCE, rounds - done);
        const names = Array.from({ length: count }, (_, i) => String(done + i + 1));
        await sell({ client, journal, exchange, killer, random, signal }, names);
      }
    } finally {
      await client.end();
    }
    const elapsedMs = performance.now() - startedAt;
    await killer.allBack();
    const found = await reconcile(postgres, journal, exchange, BUYERS_AT_ONCE);
    return { ...found, history: journal, elapsedMs, killed: killer.killed, cut: killer.cut };
  });
}

async function sell(
  { client, journal, exchange, killer, random, signal }: Sale,
  rounds: string[],
): Promise<void> {
  await client.query('insert into counters (name, value, min, max) select unnest($1::text[]), 0, 0, $2', [
    rounds.map(ticketsOf),
    TICKETS,
  ]);
  // After a number of answers, perhaps none: there is no moment of which it could be said that it is the worst.
  const strikeAt = Math.floor(random() * BUYERS * rounds.length);
  if (strikeAt === 0) killer.strike();
  let answers = 0;
  const buyers = Array.from({ length: BUYERS }, () => rounds).flat();
  await inParallel(BUYERS_AT_ONCE * rounds.length, buyers, async (round) => {
    signal.throwIfAborted();
    await exchange.settle(journal.begin('ticket', round), BUYING_MS_MAX, signal);
    answers += 1;
    if (answers === strikeAt) killer.strike();
  });
}

import { randomBytes } from 'node:crypto';
import { Callers } from './callers/callers.ts';
import { Exchange } from './callers/exchange.ts';
import { Readers } from './callers/readers.ts';
import { Journal } from './journal/journal.ts';
import type { Postgres } from './world/postgres.ts';
import type { Random } from './world/random.ts';
import { Replica } from './world/replica.ts';

interface FleetOptions {
  database: Pick<Postgres, 'port' | 'databaseUrl'>;
  /** Processes of the service. */
  replicas: number;
  /** What to run instead of the service, and its environment. */
  program?: string;
  env?: NodeJS.ProcessEnv;
  /** Where the journal is written. */
  journal: string;
  /** Requests that the journal has room for. */
  attemptsMax: number;
  random: Random;
  signal: AbortSignal;
}

/** Replicas of the service, those that call it, and what was sent and answered. */
export interface Fleet {
  replicas: readonly Replica[];
  journal: Journal;
  exchange: Exchange;
  callers: Callers;
}

/** Runs `work` with replicas that serve and are read from; none of them is left. */
export async function withFleet<T>(options: FleetOptions, work: (fleet: Fleet) => Promise<T>): Promise<T> {
  const { database, program = 'src/server.ts', env = {}, attemptsMax, random, signal } = options;
  const replicas = Array.from(
    { length: options.replicas },
    () => new Replica(database, program, env, signal),
  );
  const journal = new Journal(options.journal, randomBytes(4).toString('hex'), attemptsMax);
  const exchange = new Exchange(journal, replicas, random);
  const callers = new Callers(journal, exchange, replicas, random);
  const readers = new Readers(journal, exchange);
  try {
    await Promise.all(replicas.map((replica) => replica.start(database)));
    readers.run();
    return await work({ replicas, journal, exchange, callers });
  } finally {
    await callers.end();
    await readers.end();
    await Promise.all(replicas.map((replica) => replica.end('SIGKILL')));
    await Promise.all(replicas.map(({ proxy }) => proxy.close()));
    journal.close();
  }
}

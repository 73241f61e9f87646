import { randomBytes } from 'node:crypto';
import { progress } from '../../src/command-line/progress.ts';
import { Callers } from './callers/callers.ts';
import { Exchange } from './callers/exchange.ts';
import { Readers } from './callers/readers.ts';
import { Journal } from './journal/journal.ts';
import { STOCK } from './journal/operation.ts';
import type { Postgres } from './world/postgres.ts';
import type { Random } from './world/random.ts';
import { Replica } from './world/replica.ts';

interface FleetOptions {
  database: Pick<Postgres, 'port' | 'databaseUrl'>;
  /** The number of service processes. */
  replicas: number;
  /** The program to run instead of the service, and its additional environment variables. */
  program?: string;
  env?: NodeJS.ProcessEnv;
  /** The path of the journal. */
  journal: string;
  /** The most requests that the journal may contain. */
  attemptsMax: number;
  random: Random;
  signal: AbortSignal;
}

/** Replicas of the service, their callers, and the journal of requests and answers. */
export interface Fleet {
  replicas: readonly Replica[];
  journal: Journal;
  exchange: Exchange;
  callers: Callers;
}

/** Runs `work` with started replicas and readers, and ends all of them afterwards. */
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
    progress('starting the replicas');
    await Promise.all(replicas.map((replica) => replica.start(database)));
    await createStock(replicas[0]?.port);
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

/** Creates the counter with bounds. */
async function createStock(port = 0): Promise<void> {
  const { name, min, max } = STOCK;
  const { status } = await fetch(`http://127.0.0.1:${port}/counters/${name}`, {
    method: 'PUT',
    headers: { 'if-none-match': '*', 'content-type': 'application/json' },
    body: JSON.stringify({ min, max }),
  });
  // A version without bounds does not accept them.
  if (status !== 201 && status !== 400)
    throw new Error(`the counter "${name}" could not be created: ${status}`);
}

import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Callers } from '../fault-test/callers/callers.ts';
import { Exchange } from '../fault-test/callers/exchange.ts';
import { Readers } from '../fault-test/callers/readers.ts';
import { reconcile, type Reconciliation } from '../fault-test/checks/reconciliation.ts';
import type { History } from '../fault-test/journal/history.ts';
import { Journal } from '../fault-test/journal/journal.ts';
import type { Random } from '../fault-test/world/random.ts';
import { Replica } from '../fault-test/world/replica.ts';
import { type Cluster, SESSION_MS } from './cluster/cluster.ts';
import type { Way } from './cluster/entrance.ts';
import { FaultSequence, type Made } from './fault-sequence.ts';
import type { Fault } from './faults/fault.ts';

export interface RoundOptions {
  faults: readonly Fault[];
  /** Processes of the service. */
  replicas: number;
  clients: number;
  /** How they reach the primary. */
  way: Way;
  /** Where the journal is written. */
  journal: string;
  random: Random;
  signal: AbortSignal;
}

/** What the faults did, and what the checks found. */
export interface Round extends Made, Reconciliation {
  history: History;
}

/** Requests of one fault, at most, refused ones included. */
const REQUESTS_MAX = 200_000;

/**
 * Counts on an empty database while these faults are made one after another, each on a cluster that is whole, and compares
 * what was told with what was counted.
 *
 * @throws {Error} when the cluster, or the service, does not come back
 */
export async function runRound(cluster: Cluster, options: RoundOptions): Promise<Round> {
  const { signal, random, way } = options;
  await cluster.empty();
  const address = cluster.address(way);
  const replicas = Array.from(
    { length: options.replicas },
    () => new Replica(address, 'src/server.ts', SERVICE_ENV, signal),
  );
  const attempts = (options.faults.length + 1) * REQUESTS_MAX;
  const journal = new Journal(options.journal, randomBytes(4).toString('hex'), attempts);
  const exchange = new Exchange(journal, replicas, random);
  const callers = new Callers(journal, exchange, replicas, random);
  const readers = new Readers(journal, exchange);
  try {
    await Promise.all(replicas.map((replica) => replica.start(address)));
    readers.run();
    const sequence = new FaultSequence({ cluster, options, journal, exchange, callers, replicas });
    const made = await sequence.run();
    return {
      ...made,
      ...(await reconcile(cluster.members, journal, exchange, options.clients)),
      history: journal,
    };
  } finally {
    await callers.end();
    await readers.end();
    await Promise.all(replicas.map((replica) => replica.end('SIGKILL')));
    await Promise.all(replicas.map(({ proxy }) => proxy.close()));
    journal.close();
  }
}

/** The service's defaults, said once more: the role of the database has the same limits. */
const SERVICE_ENV = {
  NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, 'ends-with-parent.ts')).href}`,
  STATEMENT_TIMEOUT_MS: String(SESSION_MS.statement_timeout),
  LOCK_TIMEOUT_MS: String(SESSION_MS.lock_timeout),
  IDLE_IN_TRANSACTION_TIMEOUT_MS: String(SESSION_MS.idle_in_transaction_session_timeout),
  POOL_ACQUIRE_TIMEOUT_MS: '5000',
};

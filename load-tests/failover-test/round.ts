import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { reconcile, type Reconciliation } from '../fault-test/checks/reconciliation.ts';
import { withFleet } from '../fault-test/fleet.ts';
import type { History } from '../fault-test/journal/history.ts';
import type { Random } from '../fault-test/world/random.ts';
import { type Cluster, SESSION_MS } from './cluster/cluster.ts';
import type { Way } from './cluster/entrance.ts';
import { FaultSequence, type InjectionResult } from './fault-sequence.ts';
import type { Fault } from './faults/fault.ts';

export interface RoundOptions {
  faults: readonly Fault[];
  /** The number of service processes. */
  replicas: number;
  clients: number;
  /** How the service reaches the primary. */
  way: Way;
  /** The path of the journal. */
  journal: string;
  random: Random;
  signal: AbortSignal;
}

/** The effects of the faults and the findings of the checks. */
export interface Round extends InjectionResult, Reconciliation {
  history: History;
}

/** The most requests during one fault, refused ones included. */
const REQUESTS_MAX = 200_000;

/**
 * Increments counters in an empty database while the faults are injected one after another, each on a complete cluster, and
 * compares the answers with the counts.
 *
 * @throws {Error} when the cluster or the service does not recover
 */
export async function runRound(cluster: Cluster, options: RoundOptions): Promise<Round> {
  await cluster.empty();
  const database = cluster.address(options.way);
  const attemptsMax = (options.faults.length + 1) * REQUESTS_MAX;
  return withFleet({ ...options, database, env: SERVICE_ENV, attemptsMax }, async (fleet) => {
    const { journal, exchange } = fleet;
    const injected = await new FaultSequence({ cluster, options, ...fleet }).run();
    const found = await reconcile(cluster.members, journal, exchange, options.clients);
    return { ...injected, ...found, history: journal };
  });
}

/** The service's defaults, made explicit because the database role has the same limits. */
const SERVICE_ENV = {
  NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, 'ends-with-parent.ts')).href}`,
  STATEMENT_TIMEOUT_MS: String(SESSION_MS.statement_timeout),
  LOCK_TIMEOUT_MS: String(SESSION_MS.lock_timeout),
  IDLE_IN_TRANSACTION_TIMEOUT_MS: String(SESSION_MS.idle_in_transaction_session_timeout),
  POOL_ACQUIRE_TIMEOUT_MS: '5000',
};

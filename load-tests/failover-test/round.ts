import { randomBytes } from 'node:crypto';
import { progress } from '../../src/command-line/progress.ts';
import { Callers } from '../fault-test/callers/callers.ts';
import { Exchange } from '../fault-test/callers/exchange.ts';
import { Readers } from '../fault-test/callers/readers.ts';
import { reconcile, type Reconciliation } from '../fault-test/checks/reconciliation.ts';
import { MissedError } from '../fault-test/faults/fault.ts';
import type { History } from '../fault-test/journal/history.ts';
import { Journal } from '../fault-test/journal/journal.ts';
import type { Random } from '../fault-test/world/random.ts';
import { Replica } from '../fault-test/world/replica.ts';
import { type Cluster, SESSION_MS } from './cluster/cluster.ts';
import type { Node } from './cluster/node.ts';
import type { Fault, World } from './faults/fault.ts';
import { until } from './waiting.ts';

export interface RoundOptions {
  faults: readonly Fault[];
  /** Processes of the service. */
  replicas: number;
  clients: number;
  /** Whether they reach the primary through PgBouncer. */
  pooled: boolean;
  /** Where the journal is written. */
  journal: string;
  random: Random;
  signal: AbortSignal;
}

export interface Round extends Reconciliation {
  history: History;
  /** For each fault of the history: the longest time without an acknowledgement, in milliseconds. */
  gapsMs: number[];
  /** For those after which another node led: from then to the next acknowledgement, in milliseconds. */
  servedMs: Map<number, number>;
  /** Faults that could not be made, by their numbers in the history, and why. */
  missed: Map<number, string>;
}

/** How long each caller waits after an acknowledgement, on average, in milliseconds: enough to be under way all the time. */
const THINK_MS = 40;

/** Increments that are acknowledged in peace before the next fault, and how long that may take, in milliseconds. */
const PEACE = 300;
const PEACE_MS_MAX = 120_000;

/** Once the cluster is whole, every replica serves again within this time, in milliseconds. */
const BACK_MS_MAX = 90_000;

/** Tries to make a fault. */
const TRIES_MAX = 3;

/** Requests of one fault, at most, refused ones included. */
const REQUESTS_MAX = 200_000;

/**
 * Counts on an empty database while these faults are made one after another, each on a cluster that is whole, and compares
 * what was told with what was counted.
 *
 * @throws {Error} when the cluster, or the service, does not come back
 */
export async function runRound(cluster: Cluster, options: RoundOptions): Promise<Round> {
  const { signal, random, pooled } = options;
  await cluster.empty();
  const port = pooled ? cluster.ports.pgbouncer : cluster.ports.haproxy;
  const address = { port, databaseUrl: (through: number) => cluster.databaseUrl(through) };
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
    return await new RunningRound({ cluster, options, journal, exchange, callers, replicas }).run();
  } finally {
    await callers.end();
    await readers.end();
    await Promise.all(replicas.map((replica) => replica.end('SIGKILL')));
    await Promise.all(replicas.map(({ proxy }) => proxy.close()));
    journal.close();
  }
}

/** As anybody would run it. */
const SERVICE_ENV = {
  STATEMENT_TIMEOUT_MS: String(SESSION_MS.statement_timeout),
  LOCK_TIMEOUT_MS: String(SESSION_MS.lock_timeout),
  IDLE_IN_TRANSACTION_TIMEOUT_MS: String(SESSION_MS.idle_in_transaction_session_timeout),
  POOL_ACQUIRE_TIMEOUT_MS: '5000',
};

interface Parts {
  cluster: Cluster;
  options: RoundOptions;
  journal: Journal;
  exchange: Exchange;
  callers: Callers;
  replicas: readonly Replica[];
}

class RunningRound {
  readonly #parts: Parts;
  readonly #gapsMs: number[] = [];
  readonly #servedMs = new Map<number, number>();
  readonly #missed = new Map<number, string>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async run(): Promise<Round> {
    const { cluster, options, journal, exchange, callers } = this.#parts;
    callers.change('mixed');
    const called = callers.run(options.clients, THINK_MS);
    for (const [i, fault] of options.faults.entries()) {
      progress(fault.name, i, options.faults.length);
      await this.#peace();
      await this.#fault(fault);
    }
    await this.#peace();
    callers.stop();
    await called;
    this.#gapsMs.push(exchange.takeLongestGapMs());
    return {
      ...(await reconcile(cluster, journal, exchange, options.clients)),
      history: journal,
      gapsMs: this.#gapsMs,
      servedMs: this.#servedMs,
      missed: this.#missed,
    };
  }

  /** Some increments under no fault. */
  async #peace(): Promise<void> {
    const { exchange, journal, options } = this.#parts;
    const enough = exchange.acknowledged + PEACE;
    const look = async () => exchange.acknowledged >= enough || journal.full;
    await until('increments to be acknowledged', look, { msMax: PEACE_MS_MAX, signal: options.signal });
    if (journal.full) throw new Error('too many requests were refused: the journal is full');
  }

  async #fault(fault: Fault): Promise<void> {
    const { cluster, replicas, journal, exchange, callers } = this.#parts;
    this.#begin(fault.name);
    callers.change();
    const startedAt = performance.now();
    await this.#make(fault);
    await cluster.whole();
    await Promise.all(replicas.map((replica) => exchange.probe(replica, BACK_MS_MAX)));
    // Without a failover this only means that some reads are not compared with each other.
    journal.failedOver({ startedAt, endedAt: performance.now() });
  }

  async #make(fault: Fault): Promise<void> {
    const { cluster, options, journal } = this.#parts;
    const { random, signal } = options;
    const world: World = {
      cluster,
      random,
      signal,
      successorOf: (node, msMax) => this.#successorOf(node, msMax),
      next: (name) => this.#begin(name),
    };
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await fault.make(world);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof MissedError)) throw error;
        if (attempt < TRIES_MAX) continue;
        this.#missed.set(journal.faults.length - 1, error.message);
        return;
      }
    }
  }

  async #successorOf(node: Node, msMax?: number): Promise<void> {
    const { cluster, exchange, journal, options } = this.#parts;
    const fault = journal.faults.length - 1;
    await cluster.successorOf(node, msMax);
    const [at, before] = [performance.now(), exchange.acknowledged];
    const look = async () => exchange.acknowledged > before;
    await until('an acknowledgement', look, { msMax: BACK_MS_MAX, signal: options.signal });
    this.#servedMs.set(fault, performance.now() - at);
  }

  /** What comes now belongs to this one. */
  #begin(name: string): void {
    const { exchange, journal } = this.#parts;
    this.#gapsMs.push(exchange.takeLongestGapMs());
    journal.beginFault(name);
  }
}

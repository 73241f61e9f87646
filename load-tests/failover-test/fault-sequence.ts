import { progress } from '../../src/command-line/progress.ts';
import type { Callers } from '../fault-test/callers/callers.ts';
import type { Exchange } from '../fault-test/callers/exchange.ts';
import { reasonMissed } from '../fault-test/faults/fault.ts';
import type { Journal } from '../fault-test/journal/journal.ts';
import type { Random } from '../fault-test/world/random.ts';
import type { Replica } from '../fault-test/world/replica.ts';
import type { Cluster } from './cluster/cluster.ts';
import type { Node } from './cluster/node.ts';
import type { Fault, World } from './faults/fault.ts';
import { until } from './waiting.ts';

/** The effects of the faults on callers. */
export interface InjectionResult {
  /** For each fault of the history, the longest time without an acknowledgement, in milliseconds. */
  gapsMs: number[];
  /** For each failover, the time from the new primary's first commit to the next acknowledgement, in milliseconds. */
  servedMs: Map<number, number>;
  /** The faults that could not be injected, by their number in the history, with the reason. */
  missed: Map<number, string>;
}

/** Each caller's mean pause after an acknowledgement, in milliseconds: short enough that requests are always in flight. */
const THINK_MS = 40;

/** The number of increments to acknowledge before the next fault, and its time limit, in milliseconds. */
const CALM_ACKNOWLEDGED = 300;
const CALM_MS_MAX = 120_000;

/** The time limit for every replica to serve again after the cluster is complete, in milliseconds. */
const RECOVERY_MS_MAX = 90_000;

interface Parts {
  cluster: Cluster;
  options: { faults: readonly Fault[]; clients: number; random: Random; signal: AbortSignal };
  journal: Journal;
  exchange: Exchange;
  callers: Callers;
  replicas: readonly Replica[];
}

/** Injects one fault after another while callers increment counters. */
export class FaultSequence {
  readonly #parts: Parts;
  readonly #gapsMs: number[] = [];
  readonly #servedMs = new Map<number, number>();
  readonly #missed = new Map<number, string>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** @throws {Error} when the cluster or the service does not recover */
  async run(): Promise<InjectionResult> {
    const { options, exchange, callers } = this.#parts;
    callers.changeTraffic('mixed');
    const called = callers.run(options.clients, THINK_MS);
    for (const [i, fault] of options.faults.entries()) {
      progress(fault.name, i, options.faults.length);
      await this.#calm();
      await this.#injectAndRecover(fault);
    }
    await this.#calm();
    callers.stop();
    await called;
    this.#gapsMs.push(exchange.takeLongestGapMs());
    return { gapsMs: this.#gapsMs, servedMs: this.#servedMs, missed: this.#missed };
  }

  /** Lets callers make some increments without a fault. */
  async #calm(): Promise<void> {
    const { exchange, journal, options } = this.#parts;
    const enough = exchange.acknowledged + CALM_ACKNOWLEDGED;
    const look = async () => exchange.acknowledged >= enough || journal.full;
    await until('increments to be acknowledged', look, { msMax: CALM_MS_MAX, signal: options.signal });
    if (journal.full) throw new Error('the journal is full: too many requests were refused');
  }

  async #injectAndRecover(fault: Fault): Promise<void> {
    const { cluster, replicas, journal, exchange, callers } = this.#parts;
    this.#begin(fault.name);
    callers.changeTraffic();
    const startedAt = performance.now();
    await this.#inject(fault);
    await cluster.members.whole();
    await Promise.all(replicas.map((replica) => exchange.probe(replica, RECOVERY_MS_MAX)));
    // Without a failover, the only effect is that some reads are not compared with each other.
    journal.failedOver({ startedAt, endedAt: performance.now() });
  }

  async #inject(fault: Fault): Promise<void> {
    const { cluster, options, journal } = this.#parts;
    const { random, signal } = options;
    const world: World = {
      cluster,
      random,
      signal,
      successorOf: (node, msMax) => this.#successorOf(node, msMax),
      next: (name) => this.#begin(name),
    };
    const missed = await reasonMissed(() => fault.inject(world), signal);
    if (missed !== undefined) this.#missed.set(journal.faults.length - 1, missed);
  }

  async #successorOf(node: Node, msMax?: number): Promise<void> {
    const { cluster, exchange, journal, options } = this.#parts;
    const fault = journal.faults.length - 1;
    const successor = await cluster.members.successorOf(node, msMax);
    const before = exchange.acknowledged;
    const look = async () => exchange.acknowledged > before;
    const bound = { msMax: RECOVERY_MS_MAX, signal: options.signal };
    const [committedAt, servedAt] = await Promise.all([
      cluster.members.committed(successor).then(() => performance.now()),
      until('an acknowledgement', look, bound).then(() => performance.now()),
    ]);
    this.#servedMs.set(fault, Math.max(0, servedAt - committedAt));
  }

  /** Attributes what follows to this fault. */
  #begin(name: string): void {
    const { exchange, journal } = this.#parts;
    this.#gapsMs.push(exchange.takeLongestGapMs());
    journal.beginFault(name);
  }
}

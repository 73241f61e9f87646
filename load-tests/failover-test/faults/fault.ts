import type { Random } from '../../fault-test/world/random.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Node } from '../cluster/node.ts';

/** What a fault can act on. */
export interface World {
  cluster: Cluster;
  random: Random;
  /** Aborted when the run ends. */
  signal: AbortSignal;
  /**
   * Waits until a new primary commits, and then for the next acknowledgement. The time between the two is the share of
   * the gap for which the service and its proxies are responsible.
   *
   * @throws {Error} when there is no new primary within the time limit, in milliseconds
   */
  successorOf: (node: Node, msMax?: number) => Promise<void>;
  /** Attributes what follows to the fault's second part. */
  next: (name: string) => void;
}

/** A fault of the cluster. */
export interface Fault {
  name: string;
  /** The name of its second part, from `next` on, if it has one. */
  sequel?: string;
  /**
   * Injects the fault, observes its effect, and restores what it broke. The cluster may need more time to be complete.
   *
   * @throws {MissedError} when the effect was not observed
   */
  inject: (world: World) => Promise<void>;
}

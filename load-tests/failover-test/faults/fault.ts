import type { Random } from '../../fault-test/world/random.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Node } from '../cluster/node.ts';

/** What a fault is made in. */
export interface World {
  cluster: Cluster;
  random: Random;
  /** Aborted when the run is over. */
  signal: AbortSignal;
  /**
   * Waits until another node leads and commits, and until something is acknowledged: what lies between is the part of
   * the gap that is the service's and its proxies' own.
   *
   * @throws {Error} when none leads in time, in milliseconds
   */
  successorOf: (node: Node, msMax?: number) => Promise<void>;
  /** From now on, what comes of it belongs to the fault's second part. */
  next: (name: string) => void;
}

/** One way for the cluster to break. */
export interface Fault {
  name: string;
  /** What it is called from `next` on, if it has a second part. */
  sequel?: string;
  /**
   * Makes it, sees it happen, and starts or joins again what it has broken. The cluster may then need time to be whole.
   *
   * @throws {MissedError} when it did not happen
   */
  make: (world: World) => Promise<void>;
}

import { setTimeout } from 'node:timers/promises';
import type { Link } from '../cluster/link.ts';
import type { Fault, World } from './fault.ts';

/** How long a network is away: longer than HAProxy and the replication take to notice, in milliseconds. */
const AWAY_MS = 6000;

/** How long etcd is away: longer than the lease of the primary, in milliseconds. */
const ETCD_AWAY_MS = 10_000;

/** Cuts these networks while the work is done, and mends them whatever happens. */
async function whileCut(links: readonly Link[], work: () => Promise<unknown>): Promise<void> {
  for (const link of links) link.cut();
  try {
    await work();
  } finally {
    for (const link of links) link.heal();
  }
}

const forAWhile =
  ({ signal }: World, ms = AWAY_MS) =>
  () =>
    setTimeout(ms, undefined, { signal });

/** What happens to the networks between nodes that all run. */
export const networkFaults: readonly Fault[] = [
  /** Its lease runs out: it has to give up before another one leads. */
  {
    name: 'cut between the primary and etcd',
    async make({ cluster, successorOf }) {
      const primary = await cluster.members.primaryNow();
      await whileCut([primary.toEtcd], () => successorOf(primary));
    },
  },

  /** Commits have to wait: there is no standby that could confirm them. */
  {
    name: 'cut between the primary and its standbys, 6 s',
    async make(world) {
      const primary = await world.cluster.members.primaryNow();
      await whileCut([primary.fromPeers], forAWhile(world));
    },
  },

  /** The cluster is whole, and neither HAProxy nor the service reaches its primary. */
  {
    name: 'cut between the primary and its clients, 6 s',
    async make(world) {
      const primary = await world.cluster.members.primaryNow();
      await whileCut(primary.fromEntrance, forAWhile(world));
    },
  },

  /** Without its lease no node may lead. */
  {
    name: 'etcd away for 10 s',
    async make({ cluster, signal }) {
      await cluster.etcd.kill();
      await setTimeout(ETCD_AWAY_MS, undefined, { signal });
      await cluster.etcd.start(signal);
    },
  },
];

import { setTimeout } from 'node:timers/promises';
import type { Link } from '../cluster/link.ts';
import type { Fault, World } from './fault.ts';

/** The length of a network cut, in milliseconds: longer than HAProxy and replication take to notice it. */
const CUT_MS = 6000;

/** The length of an etcd outage, in milliseconds: longer than the primary's lease. */
const ETCD_OUTAGE_MS = 10_000;

/** Cuts links while `work` runs, and restores them in any case. */
async function whileCut(links: readonly Link[], work: () => Promise<unknown>): Promise<void> {
  for (const link of links) link.cut();
  try {
    await work();
  } finally {
    for (const link of links) link.heal();
  }
}

const pause =
  ({ signal }: World, ms = CUT_MS) =>
  () =>
    setTimeout(ms, undefined, { signal });

/** Network faults: every process keeps running. */
export const networkFaults: readonly Fault[] = [
  /** Its lease expires: it has to demote itself before another node is promoted. */
  {
    name: 'cut between the primary and etcd',
    async inject({ cluster, successorOf }) {
      const primary = await cluster.members.primaryNow();
      await whileCut([primary.toEtcd], () => successorOf(primary));
    },
  },

  /** Commits have to wait, because no standby can confirm them. */
  {
    name: 'cut between the primary and its standbys, 6 s',
    async inject(world) {
      const primary = await world.cluster.members.primaryNow();
      await whileCut([primary.fromPeers], pause(world));
    },
  },

  /** The cluster is complete, but neither HAProxy nor the service can reach its primary. */
  {
    name: 'cut between the primary and its clients, 6 s',
    async inject(world) {
      const primary = await world.cluster.members.primaryNow();
      await whileCut(primary.fromEntrance, pause(world));
    },
  },

  /** Without a lease, no node may be primary. */
  {
    name: 'etcd down for 10 s',
    async inject({ cluster, signal }) {
      await cluster.etcd.kill();
      await setTimeout(ETCD_OUTAGE_MS, undefined, { signal });
      await cluster.etcd.start(signal);
    },
  },
];

import { setTimeout } from 'node:timers/promises';
import { MissedError } from '../../fault-test/faults/fault.ts';
import { until } from '../waiting.ts';
import type { Node } from '../cluster/node.ts';
import type { Fault, World } from './fault.ts';

/** How long the primary is stopped, in milliseconds: longer than its lease, one Patroni loop and an election. */
const STOPPED_MS = 15_000;

const RESUMED = 'SIGCONT of the stopped primary';

/** How long to wait for a failover that Patroni may refuse, in milliseconds. */
const SUCCESSOR_MS_MAX = 20_000;

/**
 * Starts a killed primary when another node is the primary. If Patroni knows of no standby that has every commit, as it may
 * after a crash, it promotes none: then the old primary has to come back.
 */
export async function startAfterFailover(
  primary: Node,
  { successorOf }: Pick<World, 'successorOf'>,
): Promise<void> {
  await successorOf(primary, SUCCESSOR_MS_MAX).catch(() => {});
  await primary.start();
}

/** Faults of whole nodes and of a node's PostgreSQL. */
export const nodeFaults: readonly Fault[] = [
  {
    name: 'SIGKILL of the primary and its Patroni',
    async inject(world) {
      const primary = await world.cluster.members.primaryNow();
      await primary.kill();
      await startAfterFailover(primary, world);
    },
  },

  /** Patroni restarts it, or another node is promoted. */
  {
    name: 'SIGKILL of PostgreSQL on the primary',
    async inject({ cluster }) {
      await (await cluster.members.primaryNow()).killPostgres();
    },
  },

  {
    name: 'patronictl switchover',
    async inject({ cluster, successorOf }) {
      const [primary, candidate] = [
        await cluster.members.primaryNow(),
        await cluster.members.synchronousStandby(),
      ];
      await cluster
        .patronictl('switchover', '--candidate', candidate.name, '--force')
        .catch((error: unknown) => {
          throw new MissedError('patronictl refused', { cause: error });
        });
      await successorOf(primary);
    },
  },

  /** When it is resumed, it does not know of the pause, and acts as the primary for a moment. */
  {
    name: 'SIGSTOP of the primary for 15 s',
    sequel: RESUMED,
    async inject({ cluster, signal, next, successorOf }) {
      const primary = await cluster.members.primaryNow();
      await primary.stop();
      try {
        await Promise.all([setTimeout(STOPPED_MS, undefined, { signal }), successorOf(primary)]);
        next(RESUMED);
      } finally {
        await primary.resume();
      }
      await until('the stopped primary to follow', () => primary.is('replica'), { msMax: 90_000, signal });
    },
  },

  {
    name: 'SIGKILL of the synchronous standby',
    async inject({ cluster, signal }) {
      const standby = await cluster.members.synchronousStandby();
      await standby.kill();
      const another = async () => (await cluster.members.synchronousStandby()) !== standby;
      await until('another synchronous standby', another, { msMax: 60_000, signal });
      await standby.start();
    },
  },
];

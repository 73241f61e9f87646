import { setTimeout } from 'node:timers/promises';
import type { Client } from 'pg';
import { MissedError } from '../../fault-test/faults/fault.ts';
import { type Process, signalTo } from '../cluster/processes.ts';
import { until } from '../waiting.ts';
import type { Fault, World } from './fault.ts';

/** How long commits of the service may take to wait for a standby, in milliseconds. */
const WAIT_MS_MAX = 2000;

/**
 * How long standbys receive nothing, in milliseconds: shorter than the primary takes to give them up, after which
 * Patroni would let none of them lead.
 */
const STOPPED_MS = 700;

/** How long another node may take to lead where none may be allowed to, in milliseconds. */
const SUCCESSOR_MS_MAX = 20_000;

/** What can be done to backends whose commits wait: those are on the primary's disk, and visible from then on. */
interface Act {
  name: string;
  /** Whether the server then ends all others as well, and recovers with what is on its disk. */
  crashes?: true;
  to: (client: Client, pids: readonly number[]) => Promise<unknown>;
}

const acts: readonly Act[] = [
  ...['pg_terminate_backend', 'pg_cancel_backend'].map((name) => ({
    name,
    to: (client: Client, pids: readonly number[]) =>
      client.query(`select ${name}(pid) from unnest($1::int[]) as pid`, [pids]),
  })),
  {
    name: 'SIGKILL of a backend',
    crashes: true,
    to: async (_client, [pid = 0]) => signalTo({ pid }, 'SIGKILL'),
  },
];

/**
 * Stops the receivers of both standbys, does something meanwhile, and lets them go on; or ends them, where what waits in
 * them must not be replayed any more.
 */
export async function whileStandbysStopped(
  { cluster }: Pick<World, 'cluster'>,
  work: () => Promise<'resume' | 'end'>,
): Promise<void> {
  const primary = await cluster.members.primaryNow();
  const standbys = cluster.members.nodes.filter((node) => node !== primary);
  const receivers = (await Promise.all(standbys.map((node) => node.walReceiver()))).filter(
    (one): one is Process => one !== undefined,
  );
  if (receivers.length < standbys.length) throw new MissedError('a standby received nothing');
  for (const receiver of receivers) signalTo(receiver, 'SIGSTOP');
  let then: 'resume' | 'end' = 'resume';
  try {
    then = await work();
  } finally {
    for (const receiver of receivers) signalTo(receiver, then === 'end' ? 'SIGKILL' : 'SIGCONT');
  }
}

/** Does it to every commit that waits, and to those that take their place, until the time is over. */
async function toWaiting({ cluster, signal }: World, { to, crashes }: Act): Promise<void> {
  const client = await cluster.members.connect();
  try {
    const first = await until('a commit that waits', () => waiting(client), { msMax: WAIT_MS_MAX, signal });
    await to(client, first);
    const over = performance.now() + STOPPED_MS;
    // The server has ended the connection as well, where it crashes.
    for (; performance.now() < over; await setTimeout(20, undefined, { signal })) {
      const more = crashes ? undefined : await waiting(client);
      if (more) await to(client, more);
    }
  } finally {
    await client.end().catch(() => {});
  }
}

/** The backends of the service whose commits wait for a standby. */
async function waiting(client: Client): Promise<number[] | undefined> {
  const { rows } = await client.query<{ pid: number }>(
    `select pid from pg_stat_activity where wait_event = 'SyncRep' and application_name = 'safe-counters'`,
  );
  return rows.length > 0 ? rows.map(({ pid }) => pid) : undefined;
}

/** The standbys get what they lack afterwards. */
const healed = acts.map(
  (act): Fault => ({
    name: `${act.name}, while commits wait for a standby`,
    make: (world) =>
      whileStandbysStopped(world, async () => {
        await toWaiting(world, act);
        return 'resume';
      }),
  }),
);

/** The standbys never get it: what was visible for a moment is undone, and no caller may have been told that it counts. */
const undone = acts.map(
  (act): Fault => ({
    name: `${act.name}, while commits wait; then the primary dies`,
    async make(world) {
      const { cluster } = world;
      const primary = await cluster.members.primaryNow();
      await whileStandbysStopped(world, async () => {
        await toWaiting(world, act);
        await primary.kill();
        return 'end';
      });
      // After a crash Patroni may have seen that no standby is left that has everything: then only the old one may lead.
      await world.successorOf(primary, act.crashes ? SUCCESSOR_MS_MAX : undefined).catch((error: unknown) => {
        if (!act.crashes) throw error;
      });
      await primary.start();
    },
  }),
);

export const waitingFaults: readonly Fault[] = [...healed, ...undone];

/**
 * What asynchronous replication loses for certain: the standbys fall behind for a moment, and then the primary dies. A
 * plain SIGKILL loses nothing on one machine, where the standbys are a fraction of a millisecond behind.
 */
export const killedAhead: Fault = {
  name: `SIGKILL of the primary, standbys ${STOPPED_MS} ms behind`,
  async make({ cluster, signal, successorOf }) {
    const primary = await cluster.members.primaryNow();
    await whileStandbysStopped({ cluster }, async () => {
      await setTimeout(STOPPED_MS, undefined, { signal });
      await primary.kill();
      return 'end';
    });
    await successorOf(primary);
    await primary.start();
  },
};

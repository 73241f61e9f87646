import { setTimeout } from 'node:timers/promises';
import type { Client } from 'pg';
import { MissedError } from '../../fault-test/faults/fault.ts';
import { type Process, signalTo } from '../cluster/processes.ts';
import { until } from '../waiting.ts';
import type { Fault, World } from './fault.ts';
import { startAfterFailover } from './nodes.ts';

/** The time limit for commits of the service to be seen waiting for a standby, in milliseconds. */
const WAIT_MS_MAX = 2000;

/**
 * How long standbys receive nothing, in milliseconds: shorter than the primary's `wal_sender_timeout`, after which
 * Patroni would promote neither of them.
 */
const STOPPED_MS = 700;

/** Acts on backends whose commits wait for a standby: the commits are on the primary's disk, and become visible. */
interface Act {
  name: string;
  /** Whether the server then ends all other backends as well and runs crash recovery. */
  crashes?: true;
  apply: (client: Client, pids: readonly number[]) => Promise<unknown>;
}

const acts: readonly Act[] = [
  ...['pg_terminate_backend', 'pg_cancel_backend'].map((name) => ({
    name,
    apply: (client: Client, pids: readonly number[]) =>
      client.query(`select ${name}(pid) from unnest($1::int[]) as pid`, [pids]),
  })),
  {
    name: 'SIGKILL of a backend',
    crashes: true,
    apply: async (_client, [pid = 0]) => signalTo({ pid }, 'SIGKILL'),
  },
];

/**
 * Stops the WAL receivers of both standbys while `work` runs, and then resumes them, or kills them where buffered WAL must
 * not be replayed.
 */
async function whileStandbysStopped(
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
  let action: 'resume' | 'end' = 'resume';
  try {
    action = await work();
  } finally {
    for (const receiver of receivers) signalTo(receiver, action === 'end' ? 'SIGKILL' : 'SIGCONT');
  }
}

/** Acts on every waiting commit, and on those that follow, until the time is over. */
async function applyToWaiting({ cluster, signal }: World, { apply, crashes }: Act): Promise<void> {
  const client = await cluster.members.connect();
  try {
    const first = await until('a commit that waits', () => waiting(client), { msMax: WAIT_MS_MAX, signal });
    await apply(client, first);
    const deadline = performance.now() + STOPPED_MS;
    // A crash of the server ends this connection, too.
    for (; performance.now() < deadline; await setTimeout(20, undefined, { signal })) {
      const more = crashes ? undefined : await waiting(client);
      if (more) await apply(client, more);
    }
  } finally {
    await client.end().catch(() => {});
  }
}

/** The service's backends whose commits wait for a standby. */
async function waiting(client: Client): Promise<number[] | undefined> {
  const { rows } = await client.query<{ pid: number }>(
    `select pid from pg_stat_activity where wait_event = 'SyncRep' and application_name = 'safe_counters'`,
  );
  return rows.length > 0 ? rows.map(({ pid }) => pid) : undefined;
}

/** Afterwards the standbys receive the commits. */
const healed = acts.map(
  (act): Fault => ({
    name: `${act.name}, while commits wait for a standby`,
    inject: (world) =>
      whileStandbysStopped(world, async () => {
        await applyToWaiting(world, act);
        return 'resume';
      }),
  }),
);

/** The standbys never receive the commits, which are visible for a moment, then undone, and must not be acknowledged. */
const undone = acts.map(
  (act): Fault => ({
    name: `${act.name}, while commits wait; then the primary dies`,
    async inject(world) {
      const { cluster } = world;
      const primary = await cluster.members.primaryNow();
      await whileStandbysStopped(world, async () => {
        await applyToWaiting(world, act);
        await primary.kill();
        return 'end';
      });
      await startAfterFailover(primary, world);
    },
  }),
);

export const waitingFaults: readonly Fault[] = [...healed, ...undone];

/**
 * A fault with which asynchronous replication is certain to lose commits: the standbys lag for a moment, then the primary
 * is killed. A plain SIGKILL loses nothing on one machine, where the standbys lag by a fraction of a millisecond.
 */
export const killedWhileStandbysLag: Fault = {
  name: `SIGKILL of the primary, standbys lagging by ${STOPPED_MS} ms`,
  async inject(world) {
    const { cluster, signal } = world;
    const primary = await cluster.members.primaryNow();
    await whileStandbysStopped({ cluster }, async () => {
      await setTimeout(STOPPED_MS, undefined, { signal });
      await primary.kill();
      return 'end';
    });
    await startAfterFailover(primary, world);
  },
};

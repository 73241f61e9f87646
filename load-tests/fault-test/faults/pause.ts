import { setTimeout } from 'node:timers/promises';
import type { Caught } from '../network/trap.ts';
import type { Postgres } from '../world/postgres.ts';
import type { Replica } from '../world/replica.ts';
import { intercept, interceptCommit, expectOutcome, moments, untilSettled } from './catch.ts';
import { bounded, type Fault, MissedError, orMissed, within, type World } from './fault.ts';
import { storeOn } from './store.ts';

/** How long a replica is stopped, in milliseconds: longer than it waits for an answer. */
const STOPPED_MS = 2900;

/** Stops the process while `work` runs, at least for `STOPPED_MS`, and resumes it in any case. */
export async function whileStopped(replica: Replica, work: () => Promise<void>): Promise<void> {
  replica.pause();
  try {
    await Promise.all([setTimeout(STOPPED_MS), work()]);
  } finally {
    replica.resume();
  }
}

/** Removes a writer's row, as the service does after seven days. @throws {MissedError} if the row is still there */
async function removeWriter(postgres: Postgres, { statement: { batch } }: Caught): Promise<void> {
  const [writer] = batch.split('/');
  const client = await postgres.connect();
  try {
    await client.query(
      `update safe_counters.writers set written_at = now() - interval '8 days' where id = $1`,
      [writer],
    );
    await storeOn(client).removeWriters();
    const { rowCount } = await client.query('select from safe_counters.writers where id = $1', [writer]);
    if (rowCount !== 0) throw new MissedError('the writer was not removed');
  } finally {
    await client.end();
  }
}

/** Stops the replica, removes its writer, and waits until the replica has found the outcome to be unknown. */
async function stopAndRemoveWriter(
  world: World,
  replica: Replica,
  caught: Caught,
  after: () => void,
): Promise<void> {
  await untilSettled(world, replica, 'unknown', async () => {
    await whileStopped(replica, async () => {
      await removeWriter(world.postgres, caught).catch(orMissed);
      after();
    });
    // The replica must have resumed before its metrics are read.
    await within({ signal: bounded(world) }, caught.abandoned, 'the service to time out');
  });
}

/** A process is suspended during a commit, as when its machine is migrated or sleeps. */
export const pauseFaults: readonly Fault[] = [
  {
    name: 'SIGSTOP of a replica during a commit',
    scope: 'replica',
    async inject(world, replica) {
      const caught = await interceptCommit('hold answer', world, replica, moments.plain);
      await whileStopped(replica, async () => {});
      caught.release();
    },
  },

  /** The outcome of the commit cannot be determined any more: requests without a key are answered with `outcome_unknown`. */
  {
    name: 'SIGSTOP of a replica, writer removed after the commit',
    scope: 'replica',
    async inject(world, replica) {
      const caught = await interceptCommit('hold answer', world, replica, moments.any);
      await stopAndRemoveWriter(world, replica, caught, caught.cut);
    },
  },

  {
    name: 'SIGSTOP of a replica, writer removed before the commit',
    scope: 'replica',
    async inject(world, replica) {
      const caught = await intercept('hold', world, replica, moments.plain);
      await stopAndRemoveWriter(world, replica, caught, () => {});
      caught.release();
      // 22P02, invalid_text_representation: the writer's row does not exist.
      await expectOutcome(world, caught, ['22P02', '55P03']);
    },
  },

  /** Six hours ahead, six hours back, and correct again, with one lost commit at each time. */
  {
    name: 'clock of a replica shifted by six hours',
    scope: 'replica',
    async inject(world, replica) {
      for (let step = 0; step < 3; step += 1) {
        await replica.shiftClock(bounded(world)).catch((error: unknown) => {
          throw new MissedError('the clock was not shifted', { cause: error });
        });
        await interceptCommit('cut after', world, replica, moments.any);
      }
    },
  },
];

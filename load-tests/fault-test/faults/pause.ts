import { setTimeout } from 'node:timers/promises';
import { CounterStore } from '../../../src/counters/store.ts';
import type { Caught } from '../network/trap.ts';
import type { Postgres } from '../world/postgres.ts';
import { caughtBy, committedIn, expectOutcome, untilSettled } from './catch.ts';
import { bounded, type Fault, MissedError, orMissed, within, type World } from './fault.ts';
import { asService } from './store.ts';
import type { Replica } from '../world/replica.ts';

/** How long a replica is stopped: longer than it waits for an answer, in milliseconds. */
const STOPPED_MS = 2900;

/** Stops the process, does something for a while, and wakes it up whatever happens. */
async function whileStopped(replica: Replica, work: () => Promise<void>): Promise<void> {
  replica.pause();
  try {
    await Promise.all([setTimeout(STOPPED_MS), work()]);
  } finally {
    replica.resume();
  }
}

/** As the removal does after seven days. @throws {MissedError} when the writer is still there */
async function removeWriter(postgres: Postgres, { statement: { batch } }: Caught): Promise<void> {
  const [writer] = batch.split('/');
  const client = await postgres.connect();
  try {
    await client.query(`update counter_writers set written_at = now() - interval '8 days' where id = $1`, [
      writer,
    ]);
    await new CounterStore(asService(client), STORE).removeWriters();
    const { rowCount } = await client.query('select from counter_writers where id = $1', [writer]);
    if (rowCount !== 0) throw new MissedError('the writer was not removed');
  } finally {
    await client.end();
  }
}

const STORE = { keyHours: 1, lockMsMax: 1000 };

async function pauseAndForget(
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
    // So that the replica has woken up before its figures are asked for.
    await within({ signal: bounded(world) }, caught.abandoned, 'the service to give up');
  });
}

/** A process that does nothing for a while, in the middle of a commit, as a machine that is moved or sleeps. */
export const pauseFaults: readonly Fault[] = [
  {
    name: 'SIGSTOP of a replica during a commit',
    scope: 'replica',
    async make(world, replica) {
      const caught = await committedIn('hold answer', world, replica);
      await whileStopped(replica, async () => {});
      caught.release();
    },
  },

  /** Nothing says any more what became of the commit: requests without a key can only be told that. */
  {
    name: 'SIGSTOP of a replica, its writer removed after the commit',
    scope: 'replica',
    async make(world, replica) {
      const caught = await committedIn('hold answer', world, replica);
      await pauseAndForget(world, replica, caught, caught.cut);
    },
  },

  {
    name: 'SIGSTOP of a replica, its writer removed before the commit',
    scope: 'replica',
    async make(world, replica) {
      const caught = await caughtBy('hold', world, replica);
      await pauseAndForget(world, replica, caught, () => {});
      caught.release();
      // division_by_zero: the server does not know the writer.
      await expectOutcome(world, caught, ['22012', '55P03']);
    },
  },

  /** Ahead, back and right again, with a lost answer to settle under each clock. */
  {
    name: 'clock of a replica jumps by hours',
    scope: 'replica',
    async make(world, replica) {
      for (let step = 0; step < 3; step += 1) {
        await replica.shiftClock(bounded(world)).catch((error: unknown) => {
          throw new MissedError('the clock was not shifted', { cause: error });
        });
        await committedIn('cut after', world, replica);
      }
    },
  },
];

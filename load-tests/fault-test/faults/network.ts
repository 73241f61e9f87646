import { setTimeout } from 'node:timers/promises';
import { bounded, type Fault, MissedError, within, type World } from './fault.ts';
import type { Caught, WriteTrap } from '../network/link.ts';
import type { Replica } from '../world/replica.ts';

/** How long a connection is away: longer than the service waits for an answer, in milliseconds. */
const AWAY_MS = 2900;

/** How much later than the service gives up a commit comes, in milliseconds: it has to wait for it. */
const LATE_MS = 700;

/** How long everything is turned away, in milliseconds. */
const REFUSED_MS = 400;

/** Between two looks at the service's figures, in milliseconds. */
const LOOK_MS = 50;

const caughtBy = async (trap: WriteTrap, world: World, { proxy }: Replica): Promise<Caught> => {
  try {
    return await proxy.catchWrite(trap, bounded(world));
  } catch (error) {
    throw new MissedError('nothing was written', { cause: error });
  }
};

/** A write that was committed: those that the server refuses, or that had nothing to write, have their answers. */
const committedIn = async (trap: WriteTrap, world: World, replica: Replica): Promise<Caught> => {
  const signal = bounded(world);
  while (!signal.aborted) {
    const caught = await caughtBy(trap, world, replica);
    if ((await within(world, caught.outcome, 'the server to answer')) === 'committed') return caught;
    caught.release();
  }
  throw new MissedError('nothing was committed');
};

async function expectOutcome(world: World, outcome: Promise<string>, expected: string[]): Promise<void> {
  const seen = await within(world, outcome, 'the server to answer');
  if (!expected.includes(seen)) throw new MissedError(`the server said ${seen}`);
}

const made: Omit<Fault, 'local'>[] = [
  /** The connection breaks before the statement reaches the server. */
  {
    name: 'cut before the statement',
    async make(world, replica) {
      await caughtBy('cut before', world, replica);
    },
  },

  /** The server has committed and answered, and the service is cut off without one byte of the answer. */
  {
    name: 'cut after the commit, before its answer',
    async make(world, replica) {
      await committedIn('cut after', world, replica);
    },
  },

  /** As before, but the connection stays open: the service has to give it up itself. */
  {
    name: 'half-open: committed, and no answer comes',
    async make(world, replica) {
      const { abandoned, release } = await committedIn('hold answer', world, replica);
      await within(world, abandoned, 'the service to give up');
      release();
    },
  },

  /**
   * The statement is under way for so long that the service gives it up and finds out that it was not applied; then it
   * arrives. The receipt that the service left (or its key, which the next try has written) must stop it.
   */
  {
    name: 'delivered after it was given up',
    async make(world, replica) {
      const before = await replica.settled();
      const { abandoned, outcome, release } = await caughtBy('hold', world, replica);
      await within(world, abandoned, 'the service to give up');
      const settled = async () => {
        const now = await replica.settled();
        return now['not applied'] > before['not applied'];
      };
      const signal = bounded(world);
      while (!signal.aborted && !(await settled())) await setTimeout(LOOK_MS);
      release();
      // unique_violation, of the receipt or of a key; or all its keys are known by now, so that it writes nothing.
      await expectOutcome(world, outcome, ['23505', 'replayed', 'committed']);
    },
  },

  /**
   * All of the statement but its end arrives: the server has written and holds its locks, the service gives up and has
   * to wait for it to find out; then the end arrives and the server commits, or has been told to give up as well.
   */
  {
    name: 'half-open: written, and the commit comes late',
    async make(world, replica) {
      const { abandoned, outcome, release } = await caughtBy('hold sync', world, replica);
      await within(world, abandoned, 'the service to give up');
      await setTimeout(LATE_MS);
      release();
      await within(world, outcome, 'the server to answer');
    },
  },

  /** Connections are accepted and nothing passes, for longer than the timeouts; then everything held is delivered. */
  {
    name: 'half-open: nothing passes',
    async make(_world, { proxy }) {
      proxy.silence();
      await setTimeout(AWAY_MS);
      proxy.heal();
    },
  },

  {
    name: 'all connections cut and turned away',
    async make(_world, { proxy }) {
      proxy.refuse();
      await setTimeout(REFUSED_MS);
      proxy.heal();
    },
  },
];

export const networkFaults: readonly Fault[] = made.map((fault) => ({ ...fault, local: true }));

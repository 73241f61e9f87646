import { setTimeout } from 'node:timers/promises';
import { caughtBy, committedIn, expectOutcome, untilSettled } from './catch.ts';
import { type Fault, within } from './fault.ts';

/** How long a connection is away: longer than the service waits for an answer, in milliseconds. */
const AWAY_MS = 2900;

/** How much later than the service gives up a commit comes, in milliseconds: it has to wait for it. */
const LATE_MS = 700;

/** How long everything is turned away, in milliseconds. */
const REFUSED_MS = 400;

const made: Omit<Fault, 'scope'>[] = [
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
   * The statement is under way for so long that the service gives it up and sends it again, which is applied; then it
   * arrives. Its number, which is used by now, must stop it; or it finds a counter busy.
   */
  {
    name: 'delivered after it was given up',
    async make(world, replica) {
      const caught = await caughtBy('hold', world, replica);
      await untilSettled(world, replica, 'not applied', () =>
        within(world, caught.abandoned, 'the service to give up'),
      );
      caught.release();
      await expectOutcome(world, caught, ['23502', '55P03']);
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

export const networkFaults: readonly Fault[] = made.map((fault) => ({ ...fault, scope: 'replica' }));

import { setTimeout } from 'node:timers/promises';
import { intercept, interceptCommit, expectOutcome, moments, untilSettled } from './catch.ts';
import { type Fault, within } from './fault.ts';

/** How long connections carry no traffic, in milliseconds: longer than the service waits for an answer. */
const SILENT_MS = 2900;

/** The time from the service's timeout to the delivery of the commit, in milliseconds. */
const LATE_MS = 700;

/** How long new connections are refused, in milliseconds. */
const REFUSED_MS = 400;

/** Faults of the network, those at one statement while the service writes a plain batch. */
const faults: Omit<Fault, 'scope'>[] = [
  /** The connection breaks before the server receives the statement. */
  {
    name: 'connection cut before the statement',
    async inject(world, replica) {
      await intercept('cut before', world, replica, moments.plain);
    },
  },

  /** The server has committed and answered, and the connection breaks before the service receives any byte of the answer. */
  {
    name: 'connection cut after the commit, before the answer',
    async inject(world, replica) {
      await interceptCommit('cut after', world, replica, moments.plain);
    },
  },

  /** The same, but the connection stays open: the service has to time out. */
  {
    name: 'half-open connection: committed, no answer',
    async inject(world, replica) {
      const { abandoned, release } = await interceptCommit('hold answer', world, replica, moments.plain);
      await within(world, abandoned, 'the service to time out');
      release();
    },
  },

  /**
   * The network delays the statement until the service has timed out, and has written the batch again under another number;
   * then it delivers the statement. The server must refuse it, because its number is closed, or because a counter is locked.
   */
  {
    name: 'statement delivered after its retry',
    async inject(world, replica) {
      const caught = await intercept('hold', world, replica, moments.plain);
      await untilSettled(world, replica, 'not applied', () =>
        within(world, caught.abandoned, 'the service to time out'),
      );
      caught.release();
      await expectOutcome(world, caught, ['23502', '55P03']);
    },
  },

  /**
   * The server receives everything but the end of the statement: it has written, and holds the locks. The service times
   * out, and cannot determine the outcome yet. Then the end arrives, and the server commits, unless its own timeout came first.
   */
  {
    name: 'half-open connection: written, late commit',
    async inject(world, replica) {
      const { abandoned, outcome, release } = await intercept('hold sync', world, replica, moments.plain);
      await within(world, abandoned, 'the service to time out');
      await setTimeout(LATE_MS);
      release();
      await within(world, outcome, 'the server to answer');
    },
  },

  /** Connections are accepted but carry no traffic, for longer than the timeouts; then all held traffic is delivered. */
  {
    name: 'half-open connections: no traffic',
    async inject(_world, { proxy }) {
      proxy.silence();
      await setTimeout(SILENT_MS);
      proxy.heal();
    },
  },

  {
    name: 'all connections cut, new ones refused',
    async inject(_world, { proxy }) {
      proxy.refuse();
      await setTimeout(REFUSED_MS);
      proxy.heal();
    },
  },
];

export const networkFaults: readonly Fault[] = faults.map((fault) => ({ ...fault, scope: 'replica' }));

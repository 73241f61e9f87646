import { setTimeout } from 'node:timers/promises';
import type { Caught } from '../network/trap.ts';
import type { Replica } from '../world/replica.ts';
import { closeOf, expectOutcome, intercept, interceptCommit, moments, untilSettled } from './catch.ts';
import { type Fault, MissedError, orMissed, within, type World } from './fault.ts';
import { whileStopped } from './pause.ts';

/** The statements of a transaction, in their order. The server holds the locks from the lock to the end. */
const points = [
  { at: 'begin', name: 'BEGIN' },
  { at: 'lock', name: 'the lock' },
  { at: 'apply', name: 'apply' },
  { at: 'commit', name: 'COMMIT' },
] as const;

type Point = (typeof points)[number];

/** How long a statement is delayed, in milliseconds: less than the second after which the server ends an idle transaction. */
const LATE_MS = 400;

/** The server receives what was sent before the statement, and then loses the connection: it must undo everything. */
const cut = ({ at, name }: Point): Fault => ({
  name: `transaction cut before ${name}`,
  scope: 'replica',
  async inject(world, replica) {
    const caught = await intercept('cut before', world, replica, moments[at]);
    await within(world, caught.reached, 'the server to answer the statements before it');
  },
});

/**
 * The link carries nothing in either direction from the statement on, for longer than every timeout. The server must release
 * the locks by itself, and the service must find out that nothing was applied.
 */
const silent = ({ at, name }: Point): Fault => ({
  name: `transaction on a silent link from ${name} on`,
  scope: 'replica',
  async inject(world, replica) {
    const caught = await intercept('silence', world, replica, moments[at]);
    // 25P03, idle_in_transaction_session_timeout. Without BEGIN there is no transaction.
    if (at !== 'begin') await expectOutcome(world, caught, ['25P03']);
    await within(world, caught.abandoned, 'the service to time out');
    caught.release();
    if (at === 'begin') await expectOutcome(world, caught, ['open', 'cut']);
  },
});

/**
 * The process is stopped when it has sent the statement, which arrives a moment later. A transaction that waits for the
 * process to decide is ended by the server; one that has COMMIT is committed, although its process does not know.
 */
const stopped = ({ at, name }: Point): Fault => ({
  name: `SIGSTOP of a replica in a transaction, at ${name}`,
  scope: 'replica',
  async inject(world, replica) {
    const caught = await intercept('hold', world, replica, moments[at]);
    await whileStopped(replica, async () => {
      await setTimeout(LATE_MS);
      caught.release();
      if (at === 'begin' || at === 'lock')
        await within(world, caught.ended, 'the server to end the transaction');
      else await expectOutcome(world, caught, [at === 'apply' ? 'open' : 'committed']);
    });
  },
});

async function terminate({ postgres }: World, { clientPort }: Caught): Promise<void> {
  const rows = await postgres
    .query('select pg_terminate_backend(pid) as ended from pg_stat_activity where client_port = $1', [
      clientPort,
    ])
    .catch(orMissed);
  if (!rows[0]?.ended) throw new MissedError('the backend had ended');
}

async function kill(world: World, replica: Replica, caught: Caught): Promise<void> {
  try {
    // The replica's metrics are lost when it ends.
    await replica.settled();
    await replica.end('SIGKILL');
  } finally {
    caught.cut();
  }
  await replica.start(world.postgres);
}

const others: Omit<Fault, 'scope'>[] = [
  /** The server has committed and answered, and the connection breaks before the service receives any byte of the answer. */
  {
    name: 'transaction cut after COMMIT, before the answer',
    async inject(world, replica) {
      await interceptCommit('cut after', world, replica, moments.commit);
    },
  },

  /** The same, but the connection stays open: the service has to time out. */
  {
    name: 'half-open connection: transaction committed, no answer',
    async inject(world, replica) {
      const { abandoned, release } = await interceptCommit('hold answer', world, replica, moments.commit);
      await within(world, abandoned, 'the service to time out');
      release();
    },
  },

  /**
   * The service loses the connection, but the server does not: it receives what was decided only when the service has
   * closed the number. It must refuse it.
   */
  {
    name: 'transaction delivered after its number was closed',
    async inject(world, replica) {
      const caught = await intercept('hold', world, replica, moments.apply);
      const close = intercept('watch', world, replica, closeOf(caught.statement));
      caught.hangUp();
      await expectOutcome(world, await close, ['nothing']);
      caught.release();
      await expectOutcome(world, caught, ['23502']);
    },
  },

  /**
   * The service loses the connection while the server has written, and holds the locks: every attempt to find out the outcome
   * has to wait. Then COMMIT arrives.
   */
  {
    name: 'transaction with a late COMMIT',
    async inject(world, replica) {
      await untilSettled(world, replica, 'applied', async () => {
        const caught = await intercept('hold', world, replica, moments.commit);
        await within(world, caught.reached, 'the server to write');
        caught.hangUp();
        await setTimeout(LATE_MS);
        caught.release();
        await expectOutcome(world, caught, ['committed']);
      });
    },
  },

  /** The server has written, and holds the locks. None of its requests may have been acknowledged. */
  {
    name: 'SIGKILL of a replica in a transaction, at COMMIT',
    async inject(world, replica) {
      const caught = await intercept('hold', world, replica, moments.commit);
      await kill(world, replica, caught);
    },
  },

  {
    name: 'pg_terminate_backend of a transaction that holds locks',
    async inject(world, replica) {
      const caught = await intercept('hold', world, replica, moments.apply);
      await terminate(world, caught);
      await expectOutcome(world, caught, ['57P01', 'cut']);
      caught.release();
    },
  },
];

/** Faults at each statement of a transaction in which the service decides on requests. */
export const transactionFaults: readonly Fault[] = [
  ...points.flatMap((point) => [cut(point), silent(point), stopped(point)]),
  ...others.map((fault): Fault => ({ ...fault, scope: 'replica' })),
];

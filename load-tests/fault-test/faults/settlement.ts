import type { Caught, Trap, Wanted } from '../network/trap.ts';
import { isDone } from '../network/link.ts';
import type { WriterStatement } from '../network/statements.ts';
import type { Replica } from '../world/replica.ts';
import { closeOf, expectOutcome, intercept, type Moment, moments } from './catch.ts';
import { bounded, type Fault, MissedError, orMissed, within, type World } from './fault.ts';

/** The commit of a later batch of the same writer: it contains the same requests if the first one was not applied. */
const retryOf = (first: WriterStatement): Moment => {
  const [writer, number] = first.batch.split('/');
  const wanted: Wanted = (statement) => {
    const [its, later] = statement.batch.split('/');
    return moments.any.wanted(statement) && its === writer && Number(later) > Number(number);
  };
  return { ...moments.any, wanted };
};

/**
 * Intercepts a commit so that its answer is lost, and then a statement that follows from it.
 *
 * @returns the commit, and that statement
 */
async function interceptBoth(
  world: World,
  replica: Replica,
  [firstTrap, nextTrap]: readonly [Trap, Trap],
  nextOf: (first: WriterStatement) => Moment,
  moment: Moment = moments.any,
): Promise<[Caught, Caught]> {
  const signal = bounded(world);
  while (!signal.aborted) {
    const first = await intercept(firstTrap, world, replica, moment);
    const over = new AbortController();
    // Set immediately, because the service closes the number as soon as the answer is lost.
    const next = replica.proxy.trap(
      nextTrap,
      AbortSignal.any([over.signal, bounded(world)]),
      nextOf(first.statement).wanted,
    );
    next.catch(() => {});
    // If the server refused the batch, the service has its answer.
    const isLost =
      firstTrap === 'hold sync' ||
      ['committed', 'cut'].includes(await within(world, first.outcome, 'the server to answer'));
    if (isLost) {
      const caught = await next.catch((error: unknown) => {
        throw new MissedError('the service sent no statement to determine the outcome', { cause: error });
      });
      return [first, caught];
    }
    over.abort();
  }
  throw new MissedError('no answer was lost');
}

const cutting = (
  name: string,
  nextOf: (first: WriterStatement) => Moment,
  traps: readonly [Trap, Trap],
): Fault => ({
  name,
  scope: 'replica',
  async inject(world, replica) {
    const [, next] = await interceptBoth(world, replica, traps, nextOf);
    const outcome = await within(world, next.outcome, 'the server to answer');
    if (traps[1] === 'cut after' && !isDone(next.statement.does, outcome))
      throw new MissedError(`the outcome was ${outcome}`);
  },
});

/**
 * Faults that hit the service while it finds out the outcome of a lost commit: it closes the number of the batch and, if
 * nothing was applied, writes the requests again under another number.
 */
export const settlementFaults: readonly Fault[] = [
  cutting('retry of a batch cut before the statement', retryOf, ['cut before', 'cut before']),
  cutting('retry of a batch cut after the commit', retryOf, ['cut before', 'cut after']),
  cutting('close of a batch cut before the statement', closeOf, ['cut after', 'cut before']),
  cutting('close of a batch cut after the commit', closeOf, ['cut after', 'cut after']),

  /** The first attempt holds its locks, and the backend of the close, which waits for one of them, is terminated. */
  {
    name: 'pg_terminate_backend of a close',
    scope: 'replica',
    async inject(world, replica) {
      // Connected in advance, because the backend waits for the lock only briefly.
      const client = await world.postgres.connect().catch(orMissed);
      try {
        const traps = ['hold sync', 'watch'] as const;
        const [first, close] = await interceptBoth(world, replica, traps, closeOf, moments.plain);
        try {
          const terminate =
            'select pg_terminate_backend(pid) as ended from pg_stat_activity where client_port = $1';
          const { rows } = await client
            .query<{ ended: boolean }>(terminate, [close.clientPort])
            .catch(orMissed);
          if (!rows[0]?.ended) throw new MissedError('the backend had ended');
          await expectOutcome(world, close, ['57P01', 'cut']);
        } finally {
          first.release();
        }
      } finally {
        await client.end();
      }
    },
  },
];

import type { Caught, Trap, Wanted } from '../network/trap.ts';
import { isDone } from '../network/link.ts';
import type { WriterStatement } from '../network/statements.ts';
import type { Replica } from '../world/replica.ts';
import { intercept, expectOutcome } from './catch.ts';
import { bounded, type Fault, MissedError, orMissed, within, type World } from './fault.ts';

/** Matches the statements of the same batch, optionally only those of one type. */
const ofBatch =
  (first: WriterStatement, does?: WriterStatement['does']): Wanted =>
  (statement) =>
    statement.batch === first.batch && (does === undefined || statement.does === does);

/**
 * Intercepts a write so that its answer is lost, and then a statement with which the service determines the outcome: it
 * retries the batch under the same number and, if that is refused, closes the number.
 *
 * @returns the write, and the statement that determines its outcome
 */
async function interceptSettlement(
  world: World,
  replica: Replica,
  [firstTrap, settlerTrap]: readonly [Trap, Trap],
  does?: WriterStatement['does'],
): Promise<[Caught, Caught]> {
  const signal = bounded(world);
  while (!signal.aborted) {
    const first = await intercept(firstTrap, world, replica);
    const over = new AbortController();
    // Set immediately, because the service retries as soon as the answer is lost.
    const next = replica.proxy.trap(
      settlerTrap,
      AbortSignal.any([over.signal, bounded(world)]),
      ofBatch(first.statement, does),
    );
    next.catch(() => {});
    // If the server refused the write, the service has its answer and does not retry.
    const isLost =
      firstTrap === 'hold sync' ||
      ['committed', 'cut'].includes(await within(world, first.outcome, 'the server to answer'));
    if (isLost) {
      const settler = await next.catch((error: unknown) => {
        throw new MissedError('the service sent no statement to determine the outcome', { cause: error });
      });
      return [first, settler];
    }
    over.abort();
  }
  throw new MissedError('no answer was lost');
}

const cutting = (name: string, does: WriterStatement['does'], traps: readonly [Trap, Trap]): Fault => ({
  name,
  scope: 'replica',
  async inject(world, replica) {
    const [, settler] = await interceptSettlement(world, replica, traps, does);
    const outcome = await within(world, settler.outcome, 'the server to answer');
    if (traps[1] === 'cut after' && !isDone(does, outcome))
      throw new MissedError(`the outcome was ${outcome}`);
  },
});

/** Faults that hit the service while it determines the outcome of a lost commit. */
export const settlementFaults: readonly Fault[] = [
  cutting('retry of a batch cut before the statement', 'write', ['cut after', 'cut before']),
  cutting('retry of a batch cut after the commit', 'write', ['cut before', 'cut after']),
  cutting('close of a batch cut before the statement', 'close', ['cut after', 'cut before']),
  cutting('close of a batch cut after the commit', 'close', ['cut after', 'cut after']),

  /** The first attempt holds its locks, and the backend of the retry, which waits for them, is terminated. */
  {
    name: 'pg_terminate_backend of a retry',
    scope: 'replica',
    async inject(world, replica) {
      // Connected in advance, because the backend waits for the lock only briefly.
      const client = await world.postgres.connect().catch(orMissed);
      try {
        const [first, settler] = await interceptSettlement(world, replica, ['hold sync', 'watch']);
        try {
          const terminate =
            'select pg_terminate_backend(pid) as ended from pg_stat_activity where client_port = $1';
          const { rows } = await client
            .query<{ ended: boolean }>(terminate, [settler.clientPort])
            .catch(orMissed);
          if (!rows[0]?.ended) throw new MissedError('the backend had ended');
          await expectOutcome(world, settler, ['57P01', 'cut']);
        } finally {
          first.release();
        }
      } finally {
        await client.end();
      }
    },
  },
];

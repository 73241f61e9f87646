import type { Caught, Trap, Wanted } from '../network/trap.ts';
import { isDone } from '../network/link.ts';
import type { WriterStatement } from '../network/statements.ts';
import type { Replica } from '../world/replica.ts';
import { caughtBy, expectOutcome } from './catch.ts';
import { bounded, type Fault, MissedError, orMissed, within, type World } from './fault.ts';

/** The statement of that batch which does this. */
const ofBatch =
  (first: WriterStatement, does?: WriterStatement['does']): Wanted =>
  (statement) =>
    statement.batch === first.batch && (does === undefined || statement.does === does);

/**
 * Loses a write in one way, and then does something to a statement that settles it: the service sends the batch again
 * and, if that is refused, closes its number.
 *
 * @returns the write, and the settling statement
 */
async function settling(
  world: World,
  replica: Replica,
  [lost, then]: readonly [Trap, Trap],
  does?: WriterStatement['does'],
): Promise<[Caught, Caught]> {
  const signal = bounded(world);
  while (!signal.aborted) {
    const first = await caughtBy(lost, world, replica);
    const over = new AbortController();
    // At once: the service may send it again as soon as it is lost.
    const next = replica.proxy.trap(
      then,
      AbortSignal.any([over.signal, bounded(world)]),
      ofBatch(first.statement, does),
    );
    next.catch(() => {});
    // What the server refused has its answer, and is not sent again.
    const isLost =
      lost === 'hold sync' ||
      ['committed', 'cut'].includes(await within(world, first.outcome, 'the server to answer'));
    if (isLost) {
      const settler = await next.catch((error: unknown) => {
        throw new MissedError('nothing had to be settled', { cause: error });
      });
      return [first, settler];
    }
    over.abort();
  }
  throw new MissedError('nothing was lost');
}

const cutting = (name: string, does: WriterStatement['does'], traps: readonly [Trap, Trap]): Fault => ({
  name,
  scope: 'replica',
  async make(world, replica) {
    const [, settler] = await settling(world, replica, traps, does);
    const outcome = await within(world, settler.outcome, 'the server to answer');
    if (traps[1] === 'cut after' && !isDone(does, outcome))
      throw new MissedError(`the server said ${outcome}`);
  },
});

/** What goes wrong while the service finds out what became of a lost answer. */
export const settlementFaults: readonly Fault[] = [
  cutting('sent again, and cut before it arrives', 'write', ['cut after', 'cut before']),
  cutting('sent again, and cut after the commit', 'write', ['cut before', 'cut after']),
  cutting('closed, and cut before it arrives', 'close', ['cut after', 'cut before']),
  cutting('closed, and cut after the commit', 'close', ['cut after', 'cut after']),

  /** The first attempt holds its locks, and the backend that waits for it on behalf of the second one is ended. */
  {
    name: 'pg_terminate_backend of the one that settles',
    scope: 'replica',
    async make(world, replica) {
      // Before, since a backend waits for a lock for a short time only.
      const client = await world.postgres.connect().catch(orMissed);
      try {
        const [first, settler] = await settling(world, replica, ['hold sync', 'watch']);
        try {
          const terminate =
            'select pg_terminate_backend(pid) as ended from pg_stat_activity where client_port = $1';
          const { rows } = await client
            .query<{ ended: boolean }>(terminate, [settler.clientPort])
            .catch(orMissed);
          if (!rows[0]?.ended) throw new MissedError('the backend was gone');
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

import type { Seen } from '../http/load.ts';
import { closedLoop } from '../http/loops.ts';
import { Tally } from '../http/tally.ts';
import type { Peer } from './peer.ts';

/**
 * Loads a peer with callers in this process, each with one increment in flight.
 *
 * @throws the first error of an increment
 */
export async function inProcess(
  peer: Peer,
  counters: readonly string[],
  callers: number,
  ms: number,
): Promise<Seen> {
  const failures: unknown[] = [];
  let sent = 0;
  const next = () => counters[(sent += 1) % counters.length] ?? '';
  const caller = {
    /** The first failure ends the turn. */
    get usable() {
      return failures.length === 0;
    },
    send: (counter: string, answered: (status: number) => void) =>
      void peer.increment(counter).then(
        () => answered(200),
        (error: unknown) => {
          failures.push(error);
          answered(500);
        },
      ),
  };
  const tally = new Tally(ms);
  await closedLoop(
    Array.from({ length: callers }, () => caller),
    next,
    tally,
  );
  if (failures.length > 0) throw failures[0];
  return tally.seen();
}

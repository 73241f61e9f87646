import type { Seen } from '../http/load.ts';
import { closedLoop } from '../http/loops.ts';
import { Tally } from '../http/tally.ts';
import type { Peer } from './peer.ts';

/**
 * Callers in the process that measures, each with one increment under way.
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
    /** One failure ends the turn. */
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

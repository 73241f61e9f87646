import type { Seen } from '../http/load.ts';
import type { Peer } from './peer.ts';

/** The kinds of load. */
export type Load =
  | 'one hot counter'
  | '1,000 counters'
  | 'a key each'
  | 'behind a route'
  | 'behind a route, a key each';

/** A peer under one kind of load. */
export interface Subject {
  load: Load;
  peer: Peer;
  /** The counters that it increments, in turn. */
  counters: readonly string[];
  /** @param ms how long to send increments, in milliseconds; those in flight at the end are waited for */
  offer(callers: number, ms: number): Promise<Seen>;
}

/** The results of one turn of a subject. */
export interface Turn {
  load: Load;
  peer: string;
  callers: number;
  seen: Seen;
}

/**
 * Loads one subject, and checks that its counters have grown by the number of acknowledged increments.
 *
 * @throws {Error} if they have not, or if an increment failed
 */
export async function takeTurn(subject: Subject, callers: number, ms: number): Promise<Turn> {
  const { load, peer, counters } = subject;
  const before = await peer.sum(counters);
  const seen = await subject.offer(callers, ms);
  const counted = (await peer.sum(counters)) - before;
  const { 200: acknowledged = 0, ...others } = seen.answers;
  if (Object.keys(others).length > 0)
    throw new Error(`${peer.name}, ${load}: it answered ${JSON.stringify(seen.answers)}`);
  if (counted !== acknowledged)
    throw new Error(`${peer.name}, ${load}: ${acknowledged} were acknowledged and ${counted} counted`);
  return { load, peer: peer.name, callers, seen };
}

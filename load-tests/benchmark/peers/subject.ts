import type { Seen } from '../http/load.ts';
import type { Peer } from './peer.ts';

/** How the peers are loaded. */
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
  /** What it counts on, in turns. */
  counters: readonly string[];
  /** @param ms for how long increments are sent, in milliseconds; what is under way then is waited for */
  offer(callers: number, ms: number): Promise<Seen>;
}

/** What came of one subject's turn. */
export interface Turn {
  load: Load;
  peer: string;
  callers: number;
  seen: Seen;
}

/**
 * Loads one subject, and looks whether its counters have grown by exactly what was acknowledged.
 *
 * @throws {Error} when they have not, or an increment failed
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

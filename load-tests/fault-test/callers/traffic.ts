import type { Kind } from '../journal/operation.ts';
import type { Random } from '../world/random.ts';

/**
 * The mix of requests that a replica is sent. It determines how the service writes a batch:
 * - `mixed`: every kind, so that some batches are plain statements, with keys, and some are transactions that decide on each
 *   request; picked twice as often as the others;
 * - `bounded`: many amounts that bounds of a counter or a window refuse, so that nearly all batches are transactions;
 * - `unkeyed`: many counters, no keys: plain statements;
 * - `shared`: one counter, no keys: plain statements;
 * - `serial`: one request at a time: plain statements.
 */
export const traffics = ['mixed', 'mixed', 'bounded', 'unkeyed', 'shared', 'serial'] as const;

export type Traffic = (typeof traffics)[number];

/** The share of each kind of request, in percent. */
const PERCENTAGES: Record<Traffic, readonly (readonly [Kind, number])[]> = {
  mixed: [
    ['single', 63],
    ['bulk', 5],
    ['amount', 5],
    ['unkeyed', 10],
    ['unkeyed-bulk', 4],
    ['shared', 3],
    ['edge', 4],
    ['put', 5],
    ['delete', 1],
  ],
  bounded: [
    ['stock', 25],
    ['quota', 25],
    ['single', 30],
    ['bulk', 10],
    ['amount', 10],
  ],
  unkeyed: [
    ['unkeyed', 80],
    ['unkeyed-bulk', 15],
    ['edge', 5],
  ],
  shared: [['shared', 100]],
  serial: [['unkeyed', 100]],
};

export function pickKind(random: Random, traffic: Traffic): Kind {
  let at = random() * 100;
  for (const [kind, percentage] of PERCENTAGES[traffic]) {
    at -= percentage;
    if (at < 0) return kind;
  }
  return 'single';
}

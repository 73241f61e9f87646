import type { Kind } from '../journal/operation.ts';
import type { Random } from '../world/random.ts';

/**
 * What is sent to a replica, which decides on the statement that it writes with:
 * - `mixed`: everything, so that batches have keys; twice as often as the others;
 * - `bounded`: much of it does not fit, and so it is decided request by request;
 * - `unkeyed`: many counters and no key;
 * - `shared`: one counter and no key;
 * - `lone`: one request at a time.
 */
export const traffics = ['mixed', 'mixed', 'bounded', 'unkeyed', 'shared', 'lone'] as const;

export type Traffic = (typeof traffics)[number];

/** Of 100 requests, how many are of which kind. */
const SHARES: Record<Traffic, readonly (readonly [Kind, number])[]> = {
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
    ['stock', 50],
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
  lone: [['unkeyed', 100]],
};

export function pickKind(random: Random, traffic: Traffic): Kind {
  let at = random() * 100;
  for (const [kind, share] of SHARES[traffic]) {
    at -= share;
    if (at < 0) return kind;
  }
  return 'single';
}

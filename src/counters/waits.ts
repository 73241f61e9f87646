/*
 * What waits and retries, from the innermost to the outermost. A request takes at most their sum, which is less than the
 * time that the client waits for an answer (`timeoutMs`, 60 s).
 *
 * | who | retries or waits for | how long |
 * |---|---|---|
 * | a statement | a lock | `LOCK_MS` |
 * | a request | a lock that is held for longer (`waiting-room.ts`) | `lockedMsMax` (5 s) |
 * | a batch | a conflict, a connection that broke before the commit, a number or a writer that is gone | `CONFLICT` |
 * | a request | the others of a batch that failed (`separation.ts`) | 5 s |
 * | a batch | a server that accepts writes (`database/read-only-retry.ts`) | 5 s |
 * | a lane | the outcome of a commit whose answer was lost | `settleMsMax` (45 s), `SETTLE` |
 * | a request | its batch | `QUEUE_MS_MAX` |
 * | the client | an answer, and a retry of what was not counted | 8 attempts, in `client/client.ts` |
 */

/** How long a conflict is retried, not counting the time spent settling lost answers. */
export const CONFLICT = { attemptsMax: 8, elapsedMsMax: 5000, delayMsBase: 0.5, delayMsMax: 100 };

/** The delay between two attempts to settle a lost answer, in milliseconds. */
export const SETTLE = { delayMsBase: 10, delayMsMax: 250 };

/**
 * How long to try to settle a lost answer while a server answers but cannot tell the outcome, in milliseconds: the first
 * attempt, whose connection is lost, still holds the lock on the writer's row. Other counters must not wait for that as
 * long as for a failover.
 */
export const ANSWERED_MS_MAX = 10_000;

/**
 * How long a batch waits for each lock, in milliseconds: for so many times the usual duration of a batch, since other replicas
 * write, too, and PostgreSQL lets them in turn. The wait is shorter while requests wait in the waiting room: further locks are
 * probably held by the same transaction.
 */
export const LOCK_MS = {
  usual: { min: 50, batches: 4 },
  besideHeld: { min: 25, batches: 2 },
  max: 2000,
};

/** How long a request may wait for its batch to begin, in milliseconds. */
export const QUEUE_MS_MAX = 5000;

import type { EntityManager } from '@mikro-orm/postgresql';

/**
 * What becomes of increments under contention:
 * - `exact`: each one that was acknowledged counts;
 * - `rejects`: some may be refused, and each one that was acknowledged counts;
 * - `loses`: some that were acknowledged do not count.
 */
export type Claim = 'exact' | 'rejects' | 'loses';

/** Attempts that end only when a hot row stays hot for longer than an increment may take. */
export const PERSISTENT = 100_000;

/** One way to add 1 to the likes of a post. */
export interface Strategy {
  readonly name: string;
  /** What it does and what comes of it, in one sentence. */
  readonly summary: string;
  readonly claim: Claim;
  /** How often `increment` is run at most, when somebody else was faster. With 1 a conflict is the caller's. */
  readonly attempts: number;
  /** Errors that mean "somebody else was faster", besides those that always do (`isConflict`). */
  readonly conflict?: (error: unknown) => boolean;
  /**
   * Adds 1, once. An EntityManager that has nothing of the post in its identity map is expected: a fresh fork.
   *
   * @returns the likes that it wrote; undefined where nobody can know
   */
  increment(em: EntityManager, pk: number): Promise<number | undefined>;
  /** How many likes there are, where that is not the post's own column. */
  count?(em: EntityManager, pk: number): Promise<number>;
}

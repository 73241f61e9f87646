import type { EntityManager } from '@mikro-orm/postgresql';

/**
 * What becomes of increments under contention:
 * - `exact`: each one that was acknowledged counts;
 * - `rejects`: some are refused, and each one that was acknowledged counts;
 * - `loses`: some that were acknowledged do not count.
 */
export type Claim = 'exact' | 'rejects' | 'loses';

/** One way to add 1 to the likes of a post. */
export interface Strategy {
  readonly name: string;
  /** What it relies on and when it breaks, in one sentence. */
  readonly summary: string;
  readonly claim: Claim;
  /** Whether a conflict is answered by running `increment` again. Otherwise it is handed to the caller. */
  readonly retry: boolean;
  /**
   * Adds 1, once. An EntityManager that has nothing of the post in its identity map is expected: a fresh fork.
   *
   * @returns the likes that it wrote
   */
  increment(em: EntityManager, pk: number): Promise<number>;
}

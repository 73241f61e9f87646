import type { EntityManager } from '@mikro-orm/postgresql';

/**
 * What a strategy claims about increments under contention:
 * - `exact`: every acknowledged increment is counted;
 * - `rejects`: the same, but increments may be refused;
 * - `loses`: acknowledged increments are lost.
 */
export type Claim = 'exact' | 'rejects' | 'loses';

/** A number of attempts so large that the time limit is reached first. */
export const PERSISTENT = 100_000;

/** One way to add 1 to the likes of a post. */
export interface Strategy {
  readonly name: string;
  /** How it counts, in one sentence. */
  readonly summary: string;
  readonly claim: Claim;
  /** The maximum number of attempts of an increment that meets conflicts. With 1, it reports the conflict. */
  readonly attempts: number;
  /** Whether an error is a conflict for this strategy, in addition to those for which `isConflict` is true. */
  readonly conflict?: (error: unknown) => boolean;
  /**
   * Adds 1, once. Expects an EntityManager whose identity map does not hold the post: a fresh fork.
   *
   * @returns the number of likes that it wrote; undefined if the strategy cannot know it
   * @throws an error for which `isSoldOut` is true if the post has a stock that is used up
   */
  increment(em: EntityManager, pk: number): Promise<number | undefined>;
  /** Reads the number of likes, if it is not in the column of the post. */
  count?(em: EntityManager, pk: number): Promise<number>;
}

import type { EntityManager } from '@mikro-orm/postgresql';

/**
 * What a strategy claims about increments under contention:
 * - `exact`: every acknowledged increment counts;
 * - `rejects`: increments may be refused, and every acknowledged one counts;
 * - `loses`: some acknowledged increments do not count.
 */
export type Claim = 'exact' | 'rejects' | 'loses';

/** So many attempts that the time which an increment may take runs out first. */
export const PERSISTENT = 100_000;

/** One way to add 1 to the likes of a post. */
export interface Strategy {
  readonly name: string;
  /** How it counts, in one sentence. */
  readonly summary: string;
  readonly claim: Claim;
  /** How often `increment` is tried at most while it meets conflicts. With 1, the conflict is reported to the caller. */
  readonly attempts: number;
  /** Whether an error is a conflict for this strategy, besides the errors that always are (`isConflict`). */
  readonly conflict?: (error: unknown) => boolean;
  /**
   * Adds 1, once. Expects an EntityManager whose identity map does not hold the post: a fresh fork.
   *
   * @returns the likes that it wrote; undefined where the strategy cannot know
   * @throws an error for which `isSoldOut` is true when the post has a stock and it is used up
   */
  increment(em: EntityManager, pk: number): Promise<number | undefined>;
  /** Reads the number of likes, where it is not the post's own column. */
  count?(em: EntityManager, pk: number): Promise<number>;
}

import type { Strategy } from '../../strategies/strategy.ts';
import type { Increment } from '../worker.ts';

/** One thing that strategies race for: what there is of it, and what must hold besides the rules of a counter. */
export interface Experiment {
  readonly name: string;
  /** What is raced for, in one sentence. */
  readonly summary: string;
  /** Whether this strategy can take part. */
  takes(strategy: Strategy): boolean;
  /** How many increments of so many may succeed; null: all. */
  stockOf(increments: number): number | null;
  /** The rules that the history breaks, in words. */
  violations(history: readonly Increment[], stock: number | null): string[];
}

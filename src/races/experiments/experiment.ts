import type { Strategy } from '../../likes/strategy.ts';
import type { Increment } from '../worker.ts';

/** A kind of race: its stock, and the rules that must hold in addition to those of a counter. */
export interface Experiment {
  readonly name: string;
  /** The aim of the race, in one sentence. */
  readonly summary: string;
  /** Whether this strategy can take part. */
  takes(strategy: Strategy): boolean;
  /** The maximum number of increments that may succeed, of the given number; null: no maximum. */
  stockOf(increments: number): number | null;
  /** The rules that the history violates, in words. */
  violations(history: readonly Increment[], stock: number | null): string[];
}

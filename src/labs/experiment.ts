import type { TimelineEntry } from '../database/timeline.ts';
import type { LabContext } from './bench/context.ts';

/** What was seen: who did what and when, and the numbers that the claim is decided by. */
interface Evidence {
  timeline: readonly TimelineEntry[];
  figures: Readonly<Record<string, unknown>>;
}

export interface Findings {
  holds: boolean;
  evidence: Evidence;
}

/** One claim about transactions, sessions, caches or the ORM that can be run. */
export interface Experiment {
  readonly name: string;
  /** What must be seen, in one sentence. */
  readonly claim: string;
  /** What to write instead, where there is something to cure: a few lines of code, or of SQL after a comment. */
  readonly cure?: string;
  /**
   * Sees whether the claim holds. Leaves nothing behind on the server.
   *
   * @throws what the server refused, with its SQLSTATE: an engine can lack what the experiment is about
   * @throws the signal's reason when it is aborted
   */
  run(context: LabContext): Promise<Findings>;
}

/** Experiments on one subject. */
export interface Lab {
  readonly name: string;
  /** What it is about, in one sentence. */
  readonly summary: string;
  readonly experiments: readonly Experiment[];
  /** What follows from all of them together. */
  readonly conclude?: (findings: ReadonlyMap<string, Findings>) => Record<string, unknown>;
}

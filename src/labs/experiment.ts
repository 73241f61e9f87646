import type { TimelineEntry } from '../database/timeline.ts';
import type { LabContext } from './bench/context.ts';
import type { Term } from './glossary.ts';

/** What was seen: what each session did and when, and the numbers that the claim is decided by. */
interface Evidence {
  timeline: readonly TimelineEntry[];
  figures: Readonly<Record<string, unknown>>;
}

export interface Findings {
  holds: boolean;
  evidence: Evidence;
}

/** An anomaly that a schedule looks for. */
export interface AnomalyDescription {
  /** Its code in Adya's thesis and the Hermitage project, such as P4 or G2-item; several schedules can share one. */
  readonly code: string;
  readonly name: string;
  /** What it is, in one clause. */
  readonly meaning: string;
  /** What PostgreSQL does at each isolation level, weakest first. */
  readonly expected: Readonly<Record<string, 'possible' | 'prevented'>>;
}

/** One claim about transactions, sessions, caches or the ORM that can be run. */
export interface Experiment {
  readonly name: string;
  /** What must be seen, in one sentence. */
  readonly claim: string;
  /** What to write instead, where there is something to cure: a few lines of code, or of SQL after a comment. */
  readonly cure?: string;
  /** The anomaly that it tries at every isolation level, where it does. */
  readonly anomaly?: AnomalyDescription;
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
  /** What its claims are put in, to be explained beside them. */
  readonly terms: readonly Term[];
  readonly experiments: readonly Experiment[];
  /** What follows from all of them together. */
  readonly conclude?: (findings: ReadonlyMap<string, Findings>) => Record<string, unknown>;
}

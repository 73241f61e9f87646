import type { TimelineEntry } from '../../timeline/entry.ts';
import type { LabContext } from './context.ts';
import type { Term } from './glossary.ts';

/** What was observed: the steps of each session, and the figures that decide the claim. */
interface Evidence {
  timeline: readonly TimelineEntry[];
  figures: Readonly<Record<string, unknown> & { verdict?: string }>;
}

export interface Findings {
  /** null: the server or the configuration lacks what the claim needs; the figure `verdict` says what. */
  holds: boolean | null;
  evidence: Evidence;
}

/** An anomaly that a schedule looks for. */
export interface AnomalyDescription {
  /** Its code in Adya's thesis and the Hermitage project, such as P4 or G2-item; several schedules can share one. */
  readonly code: string;
  readonly name: string;
  /** What it is, in one clause. */
  readonly meaning: string;
  /** Whether PostgreSQL allows it at each isolation level, weakest first. */
  readonly expected: Readonly<Record<string, 'possible' | 'prevented'>>;
}

/** One claim about transactions, sessions, caches or the ORM that can be run. */
export interface Experiment {
  readonly name: string;
  /** What must be observed, in one sentence. */
  readonly claim: string;
  /** Code that avoids the problem, if there is any: a few lines of TypeScript, or of SQL after a comment. */
  readonly cure?: string;
  /** The anomaly that it tests at every isolation level, if it is about one. */
  readonly anomaly?: AnomalyDescription;
  /**
   * Tests whether the claim holds. Leaves nothing on the server.
   *
   * @throws the server's error, with its SQLSTATE, for example if the engine lacks a feature
   * @throws the signal's reason when it is aborted
   */
  run(context: LabContext): Promise<Findings>;
}

/** Experiments on one subject. */
export interface Lab {
  readonly name: string;
  /** What it is about, in one sentence. */
  readonly summary: string;
  /** The terms of its claims that need an explanation. */
  readonly terms: readonly Term[];
  readonly experiments: readonly Experiment[];
  /** What follows from all experiments together. */
  readonly conclude?: (findings: ReadonlyMap<string, Findings>) => Record<string, unknown>;
}

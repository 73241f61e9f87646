import type { TimelineEntry } from '../../timeline/entry.ts';
import type { Term } from './glossary.ts';
import { type Scratch, withScratch } from './scratch.ts';
import type { LabContext } from './session-options.ts';

/** What an experiment has observed. */
interface Observation {
  /** Whether its claim holds; null: the server or the configuration lacks what it needs, and `verdict` says what. */
  holds: boolean | null;
  /** The figures that decide the claim. */
  figures: Readonly<Record<string, unknown> & { verdict?: string }>;
}

export interface Findings extends Observation {
  /** The steps of each session. */
  timeline: readonly TimelineEntry[];
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
  /** SQL that creates its tables, if it needs any. */
  readonly setup?: string;
  /** Tests whether the claim holds, with the sessions, pools and schema of `scratch` and no others. */
  run(scratch: Scratch): Promise<Observation>;
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

/**
 * Runs an experiment. Leaves nothing on the server.
 *
 * @throws {ConnectionError} when the server cannot be reached
 * @throws the server's error, with its SQLSTATE, for example if the engine lacks a feature
 * @throws the signal's reason when it is aborted
 */
export const runExperiment = (experiment: Experiment, context: LabContext): Promise<Findings> =>
  withScratch(context, experiment.setup ?? '', async (scratch) => ({
    ...(await experiment.run(scratch)),
    timeline: scratch.timeline.entries,
  }));

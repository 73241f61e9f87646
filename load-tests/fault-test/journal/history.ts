import type { Read } from '../../../src/concurrency/history.ts';
import type { Operation } from './operation.ts';

export type CounterRead = Read & { name: string };

/** Counters that another session kept locked, or had created and not committed, from when to when. */
export interface CounterLock {
  names: readonly string[];
  startedAt: number;
  endedAt: number;
  /** Which fault of the run it was. */
  fault: number;
}

/** A time in which a failover may have undone what was read and not acknowledged yet. */
export type Failover = Pick<CounterRead, 'startedAt' | 'endedAt'>;

/** What the database says has been counted, once nothing is under way any more. */
export interface Truth {
  /** The values that are kept under the key of each operation. */
  counted: Map<number, number[]>;
  /** Keys that no client has sent. */
  strangers: string[];
  values: Map<string, number>;
}

export const noTruth = (): Truth => ({ counted: new Map(), strangers: [], values: new Map() });

/** Everything that was asked for, in order, and what became of it. */
export interface History {
  /** The names of the faults, by their numbers. */
  faults: string[];
  operations: Operation[];
  reads: CounterRead[];
  locks: CounterLock[];
  failovers: Failover[];
  /** Acknowledged operations whose keys expired and were removed since. */
  expired: Set<number>;
}

export const noHistory = (): History => ({
  faults: ['none'],
  operations: [],
  reads: [],
  locks: [],
  failovers: [],
  expired: new Set(),
});

import type { Read } from '../../../src/concurrency/history.ts';
import type { Operation } from './operation.ts';

export type CounterRead = Read & { name: string };

/** Counters that another session had locked, or created without a commit, and the time of the lock. */
export interface CounterLock {
  names: readonly string[];
  startedAt: number;
  endedAt: number;
  /** The number of the fault. */
  fault: number;
}

/** A time during which a failover may have undone increments that were read but not acknowledged. */
export type Failover = Pick<CounterRead, 'startedAt' | 'endedAt'>;

/** The state of the database when no request is in flight. */
export interface Truth {
  /** The values stored under an idempotency key, by the number of the operation that the key belongs to. */
  counted: Map<number, number[]>;
  /** Stored keys that no client has sent. */
  unsentKeys: string[];
  /** The value of each counter. */
  values: Map<string, number>;
}

export const noTruth = (): Truth => ({ counted: new Map(), unsentKeys: [], values: new Map() });

/** All requests in the order in which they were sent, with their outcomes, and the events of the run. */
export interface History {
  /** The names of the faults, by number; number 0 is the time before the first fault. */
  faults: string[];
  operations: Operation[];
  reads: CounterRead[];
  locks: CounterLock[];
  failovers: Failover[];
  /** Acknowledged operations whose keys have expired and were removed. */
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

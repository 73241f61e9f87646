import type { Increment } from '../../../src/counters/request.ts';
import type { Outcome } from '../../../src/concurrency/history.ts';

/**
 * What is asked for: one increment with a key; three counters at once; amounts of either sign; or one increment
 * without a key, on a counter that nobody else uses.
 */
export const kinds = ['single', 'bulk', 'amount', 'unkeyed'] as const;

export type Kind = (typeof kinds)[number];

/** One request, with what became of it as far as its sender can tell. */
export interface Operation {
  id: number;
  kind: Kind;
  /** Milliseconds, of one clock. */
  startedAt: number;
  endedAt: number;
  /** `unknown` from the moment on in which it is sent. */
  outcome: Outcome;
  /** What was answered: the value that each increment wrote. */
  values?: number[];
  /** Whether the answer said that it had been counted before. */
  replayed?: boolean;
  /** Which fault of the run it ended under. */
  fault: number;
  /** An answer that no fault explains. */
  unexpected?: string;
}

/** One that is about to be sent: until it has ended, it may be counted at any time. */
export const begun = (id: number, kind: Kind, startedAt: number, fault: number): Operation => ({
  id,
  kind,
  startedAt,
  endedAt: Number.MAX_SAFE_INTEGER,
  outcome: 'unknown',
  fault,
});

export const UNKEYED = 'unkeyed';

/** The increments of an operation: nothing but its number decides, so that the journal need not say. */
export function incrementsOf({ id, kind }: Pick<Operation, 'id' | 'kind'>): Increment[] {
  if (kind === 'single') return [{ name: 'hot', by: 1 }];
  if (kind === 'unkeyed') return [{ name: UNKEYED, by: 1 }];
  if (kind === 'amount') return [{ name: 'amounts', by: (id % 21) - 10 || 11 }];
  return ['hot', 'left', 'right'].map((name) => ({ name, by: 1 }));
}

export const isKeyed = ({ kind }: Pick<Operation, 'kind'>): boolean => kind !== 'unkeyed';

/** The idempotency key of an operation. */
export const keyOf = (run: string, id: number): string => `${run}-${id}`;

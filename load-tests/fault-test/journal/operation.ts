import type { Outcome } from '../../../src/concurrency/history.ts';
import { VALUE_MAX } from '../../../src/counters/counter.ts';
import type { Increment } from '../../../src/counters/request.ts';

/**
 * What is asked for. With a key:
 * - `single`: one increment of the counter that is used most;
 * - `bulk`: that one, a second one that is shared, and one of its own;
 * - `amount`: amounts of either sign;
 * - `stock`: amounts of either sign, of a counter with bounds, so that many do not fit;
 * - `ticket`: one of the tickets of a round, of which there are fewer than buyers;
 * - `again`: a `single` under the key of an earlier one, whose key has expired and was removed.
 *
 * Without a key:
 * - `unkeyed`: one increment of a counter of its own, so that a doubled one shows;
 * - `unkeyed-bulk`: three counters of its own;
 * - `shared`: one counter for all of this kind;
 * - `edge`: up to the highest value and not beyond it, or one beyond it, on a counter of its own;
 * - `put` and `delete`: a counter is set or deleted if it is as it was read before.
 */
export const kinds = [
  'single',
  'bulk',
  'amount',
  'stock',
  'ticket',
  'again',
  'unkeyed',
  'unkeyed-bulk',
  'shared',
  'edge',
  'put',
  'delete',
] as const;

export type Kind = (typeof kinds)[number];

/** One request, with what became of it as far as its sender can tell. */
export interface Operation {
  id: number;
  kind: Kind;
  /** `put`, `delete`: the state that it is meant for. `again`: the operation whose key it uses. `ticket`: the round. */
  about?: string;
  /** Milliseconds, of one clock. */
  startedAt: number;
  endedAt: number;
  /** `unknown` from the moment on in which it is sent. */
  outcome: Outcome;
  /** What was answered: the value that each increment wrote. */
  values?: number[];
  /** Whether the answer said that it had been counted before. */
  replayed?: boolean;
  /** Whether it was sent again, because its outcome was unknown at first. */
  again?: boolean;
  /** Why it was refused, in the service's words. */
  code?: string;
  /** Which fault of the run it ended under. */
  fault: number;
  /** An answer that no fault explains. */
  unexpected?: string;
}

/** What is written down before it is sent. */
export type Intent = Pick<Operation, 'id' | 'kind' | 'about'>;

/** One that is about to be sent: until it has ended, it may be counted at any time. */
export const begun = (intent: Intent, startedAt: number, fault: number): Operation => ({
  ...intent,
  startedAt,
  endedAt: Number.MAX_SAFE_INTEGER,
  outcome: 'unknown',
  fault,
});

/** The counter of all operations of the kind `shared`. */
export const UNKEYED = 'unkeyed';

/** The counter of all operations of the kind `stock`, and its bounds. */
export const STOCK = { name: 'stock', min: 0, max: 100 };

/** The counter of the tickets of a round, from 0 to as many as there are. */
export const ticketsOf = (round: string): string => `tickets-${round}`;

export const isTickets = (name: string): boolean => name.startsWith('tickets-');

export const TICKETS = 100;

/** A counter of which no other operation knows. */
export const ownName = (id: number, suffix = ''): string => `own-${id}${suffix}`;

export const isOwn = (name: string): boolean => name.startsWith('own-');

/** From -10 to 11, and never nothing. */
const amountOf = (id: number): number => (id % 21) - 10 || 11;

const byOne = (...names: string[]): Increment[] => names.map((name) => ({ name, by: 1 }));

const increments: Record<Kind, (id: number, about: string) => Increment[]> = {
  single: () => byOne('hot'),
  bulk: (id) => byOne('hot', 'left', ownName(id)),
  amount: (id) => [{ name: 'amounts', by: amountOf(id) }],
  stock: (id) => [{ name: STOCK.name, by: amountOf(id) }],
  ticket: (_, round) => byOne(ticketsOf(round)),
  again: () => byOne('hot'),
  unkeyed: (id) => byOne(ownName(id)),
  'unkeyed-bulk': (id) => byOne(ownName(id, '-a'), ownName(id, '-b'), ownName(id, '-c')),
  shared: () => byOne(UNKEYED),
  // The one that fits ends below zero: counted twice, it would fit again, and hide no neighbour that was doubled.
  edge: (id) =>
    [VALUE_MAX, ...(fits({ id }) ? [-VALUE_MAX, -1] : [1])].map((by) => ({ name: ownName(id), by })),
  put: () => [],
  delete: () => [],
};

/** The increments of an operation: nothing but its number, and what it is about, decide, so that the journal need not say. */
export const incrementsOf = ({ id, kind, about = '' }: Intent): Increment[] => increments[kind](id, about);

/** Whether an operation of the kind `edge` stays in the range. */
export const fits = ({ id }: Pick<Operation, 'id'>): boolean => id % 2 === 0;

export const isKeyed = ({ kind }: Pick<Operation, 'kind'>): boolean =>
  ['single', 'bulk', 'amount', 'stock', 'ticket', 'again'].includes(kind);

/** The number of the operation that the idempotency key was made for: its own, unless it uses an expired one again. */
export const keyIdOf = ({ id, kind, about }: Intent): number => (kind === 'again' ? Number(about) : id);

/** An idempotency key. */
export const keyOf = (run: string, keyId: number): string => `${run}-${keyId}`;

export const isDocument = ({ kind }: Pick<Operation, 'kind'>): boolean => kind === 'put' || kind === 'delete';

/** The counter that a `put` or `delete` is about: one for so many operations, so that some of them compete. */
export const documentOf = (id: number): string => `document-${Math.floor(id / 500)}`;

/** The state of a document that is not there; any other one is its value. */
export const MISSING = 'missing';

/** What a refusal may say of this operation, besides that the service is busy or away. */
export function refusalsOf(operation: Intent): readonly string[] {
  if (isDocument(operation)) return ['precondition_failed', 'not_found'];
  if (operation.kind === 'stock' || operation.kind === 'ticket') return ['out_of_bounds'];
  return operation.kind === 'edge' && !fits(operation) ? ['out_of_range'] : [];
}

/** Whether it was refused for what it asked for, and not because something was busy or away. */
export const isDeserved = (operation: Operation): boolean =>
  operation.code !== undefined && refusalsOf(operation).includes(operation.code);

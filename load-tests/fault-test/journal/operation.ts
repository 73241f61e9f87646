import type { Outcome } from '../../../src/concurrency/history.ts';
import { VALUE_MAX } from '../../../src/counters/counter.ts';
import type { Increment } from '../../../src/counters/request.ts';

/**
 * The kinds of requests. A separate counter is one that no other request uses. With an idempotency key:
 * - `single`: one increment of the hot counter;
 * - `bulk`: one increment each of the hot counter, another shared counter, and a separate counter;
 * - `amount`: a positive or negative amount;
 * - `stock`: a positive or negative amount for a counter with bounds, so that many are refused;
 * - `quota`: the same amounts for a window of time, with bounds that come with each request;
 * - `ticket`: one ticket of a round, of which there are fewer than buyers;
 * - `again`: a `single` with the key of an earlier request, which has expired and was removed.
 *
 * Without a key:
 * - `unkeyed`: one increment of a separate counter, so that a doubled increment is visible;
 * - `unkeyed-bulk`: one increment each of three separate counters;
 * - `shared`: one increment of a counter that all requests of this kind share;
 * - `edge`: amounts up to the highest value, or one beyond it, for a separate counter;
 * - `put` and `delete`: sets or deletes a counter, on condition that it has not changed since it was read.
 */
export const kinds = [
  'single',
  'bulk',
  'amount',
  'stock',
  'quota',
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

/** One request, with its outcome as the client knows it. */
export interface Operation {
  id: number;
  kind: Kind;
  /** `put`, `delete`: the state that the request requires. `again`: the operation whose key it reuses. `ticket`: the round. */
  about?: string;
  /** In milliseconds, of one clock. */
  startedAt: number;
  endedAt: number;
  /** `unknown` until there is an answer. */
  outcome: Outcome;
  /** The values of the answer, one for each increment. */
  values?: number[];
  /** Whether the answer was marked as a replay. */
  replayed?: boolean;
  /** Whether it was retried after an unknown outcome. */
  again?: boolean;
  /** The problem code of the refusal. */
  code?: string;
  /** The number of the fault during which it ended. */
  fault: number;
  /** An answer that no fault explains. */
  unexpected?: string;
}

/** The part of an operation that is recorded before it is sent. */
export type Intent = Pick<Operation, 'id' | 'kind' | 'about'>;

/** An operation that is about to be sent: without an answer, it may be counted at any later time. */
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

/** The counter of all operations of the kind `quota`, with a window that does not end during a run. */
const QUOTA = { name: 'quota', window: '9999d', min: 0, max: 100 };

/** The counters with bounds, by their names. */
export const BOUNDED: ReadonlyMap<string, { min: number; max: number }> = new Map(
  [STOCK, QUOTA].map((counter) => [counter.name, counter]),
);

/** The name of the counter that holds the number of tickets sold in a round. */
export const ticketsOf = (round: string): string => `tickets-${round}`;

export const isTickets = (name: string): boolean => name.startsWith('tickets-');

/** The number of tickets in a round. */
export const TICKETS = 100;

/** The name of a counter that no other operation uses. */
export const ownName = (id: number, suffix = ''): string => `own-${id}${suffix}`;

export const isOwn = (name: string): boolean => name.startsWith('own-');

/** From -10 to 11, never 0. */
const amountOf = (id: number): number => (id % 21) - 10 || 11;

const byOne = (...names: string[]): Increment[] => names.map((name) => ({ name, by: 1 }));

const increments: Record<Kind, (id: number, about: string) => Increment[]> = {
  single: () => byOne('hot'),
  bulk: (id) => byOne('hot', 'left', ownName(id)),
  amount: (id) => [{ name: 'amounts', by: amountOf(id) }],
  stock: (id) => [{ name: STOCK.name, by: amountOf(id) }],
  quota: (id) => [{ ...QUOTA, by: amountOf(id) }],
  ticket: (_, round) => byOne(ticketsOf(round)),
  again: () => byOne('hot'),
  unkeyed: (id) => byOne(ownName(id)),
  'unkeyed-bulk': (id) => byOne(ownName(id, '-a'), ownName(id, '-b'), ownName(id, '-c')),
  shared: () => byOne(UNKEYED),
  // In range, the final value is -1, so that a duplicate is in range as well: otherwise a refusal would hide it.
  edge: (id) =>
    [VALUE_MAX, ...(isInRange({ id }) ? [-VALUE_MAX, -1] : [1])].map((by) => ({ name: ownName(id), by })),
  put: () => [],
  delete: () => [],
};

/** The increments of an operation. They follow from its kind, number and `about`, so the journal does not contain them. */
export const incrementsOf = ({ id, kind, about = '' }: Intent): Increment[] => increments[kind](id, about);

/** Whether an operation of the kind `edge` stays within the range. */
export const isInRange = ({ id }: Pick<Operation, 'id'>): boolean => id % 2 === 0;

export const isKeyed = ({ kind }: Pick<Operation, 'kind'>): boolean =>
  ['single', 'bulk', 'amount', 'stock', 'quota', 'ticket', 'again'].includes(kind);

/** The number in the idempotency key: that of the operation itself, or of the earlier one whose expired key it reuses. */
export const keyIdOf = ({ id, kind, about }: Intent): number => (kind === 'again' ? Number(about) : id);

/** An idempotency key. */
export const keyOf = (run: string, keyId: number): string => `${run}-${keyId}`;

export const isDocument = ({ kind }: Pick<Operation, 'kind'>): boolean => kind === 'put' || kind === 'delete';

/** The counter of a `put` or `delete`. Consecutive operations share one, so that some of them conflict. */
export const documentOf = (id: number): string => `document-${Math.floor(id / 500)}`;

/** The state of a document that does not exist; every other state is a value. */
export const MISSING = 'missing';

/** The problem codes with which the service may refuse a request because of its content, not because of a fault. */
export function legitimateRefusals(operation: Intent): readonly string[] {
  if (isDocument(operation)) return ['precondition_failed', 'not_found'];
  if (['stock', 'quota', 'ticket'].includes(operation.kind)) return ['out_of_bounds'];
  return operation.kind === 'edge' && !isInRange(operation) ? ['out_of_range'] : [];
}

/** Whether a request was refused because of its content, and not because of a fault. */
export const isLegitimateRefusal = (operation: Operation): boolean =>
  operation.code !== undefined && legitimateRefusals(operation).includes(operation.code);

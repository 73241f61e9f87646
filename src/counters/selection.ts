import { type Batch, compose, type Delta, type PendingRequest } from './batch.ts';
import { groupsOf } from './groups.ts';

/** What a request adds to one of its counters. */
interface Part extends Delta {
  /** The position of the counter in its group, from 1. */
  slot: number;
  /** For the first part of a request, the number of its last part, from 1; for its other parts 0. */
  until: number;
  /** Whether to add as much of it as fits. */
  partial: boolean;
}

/** A value stored with an idempotency key: that of the counter in this slot after the request, plus `offset`. */
interface KeptValue {
  key: string;
  fingerprint: string;
  /** The number of the last part of the request. */
  part: number;
  /** 0: not a value, but the amount that was added. */
  slot: number;
  /** The value after this increment, relative to the value after the request. */
  offset: bigint;
}

/** The input of the statement that writes a batch and decides on its requests one by one, in the order of arrival. */
export interface Selection {
  /** Each counter with its group and its slot in the group, both from 1. */
  counters: { name: string; group: number; slot: number; expiresAt: number | undefined }[];
  /** The numbers of the first and the last part of each group. */
  groups: { begin: number; end: number }[];
  /** The parts of each request, one request after another, group by group. */
  parts: Part[];
  /** The indexes of the requests in the batch, in the order of their parts. */
  order: number[];
  kept: KeptValue[];
  /** How many values the statement holds while it decides, at most: for each part, those of all counters of its group. */
  carried: number;
}

/**
 * A request with more parts is added to the values of its group in one step. That takes about as long as ten steps, each
 * of which copies all values and adds one part.
 */
export const LARGE = 16;

/** The most values, of 8 bytes each, that a statement may hold. The largest single request needs half as many. */
const CARRIED_MAX = 2_000_000;

/** A batch whose statement leaves out the requests that do not fit. */
export interface SelectiveBatch extends Batch {
  selection: Selection;
}

export const isSelective = (batch: Batch): batch is SelectiveBatch => 'selection' in batch;

/**
 * Composes a batch of which only the requests that fit are written; the order of arrival decides. It contains all requests,
 * or only the first ones if deciding on all would take long, as with many bulks that share a counter.
 */
export function select(requests: readonly PendingRequest[]): SelectiveBatch {
  const selection: Selection = { counters: [], groups: [], parts: [], order: [], kept: [], carried: 0 };
  for (const group of groupsOf(requests)) addGroup(selection, requests, group);
  if (selection.carried > CARRIED_MAX && requests.length > 1)
    return select(requests.slice(0, Math.ceil(requests.length / 2)));
  return { ...compose(requests), selection };
}

function addGroup(selection: Selection, requests: readonly PendingRequest[], group: number[]): void {
  const { counters, groups, parts, order } = selection;
  const number = groups.length + 1;
  const slots = new Map<string, number>();
  const slotOf = ({ name, expiresAt }: Delta): number => {
    const known = slots.get(name);
    if (known !== undefined) return known;
    const slot = slots.size + 1;
    slots.set(name, slot);
    counters.push({ name, group: number, slot, expiresAt });
    return slot;
  };
  const begin = parts.length + 1;
  for (const i of group) {
    order.push(i);
    addRequest(selection, requests[i] as PendingRequest, slotOf);
  }
  groups.push({ begin, end: parts.length });
  selection.carried += (parts.length - begin + 1) * slots.size;
}

function addRequest(
  { parts, kept }: Selection,
  request: PendingRequest,
  slotOf: (delta: Delta) => number,
): void {
  const { key, fingerprint = '', partial = false } = request;
  const { deltas, steps } = compose([request]);
  const before = parts.length;
  for (const [i, delta] of deltas.entries()) {
    parts.push({ ...delta, slot: slotOf(delta), until: i === 0 ? before + deltas.length : 0, partial });
  }
  if (key === undefined) return;
  const part = parts.length;
  for (const { at, sum } of steps[0] ?? []) {
    const { slot, total } = parts[before + at] as Part;
    kept.push({ key, fingerprint, part, slot, offset: sum - total });
  }
  if (partial) kept.push({ key, fingerprint, part, slot: 0, offset: 0n });
}

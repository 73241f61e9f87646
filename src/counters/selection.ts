import { type Batch, compose, type Delta, type PendingRequest } from './batch.ts';
import { groupsOf } from './groups.ts';

/** What a request does to one of its counters. */
interface Part extends Delta {
  /** The position of the counter in its group, from 1. */
  slot: number;
  /** The number of the last part of the request, from 1; 0 for all parts of it but the first. */
  until: number;
  /** Whether as much of it is taken as fits. */
  partial: boolean;
}

/** A value that is kept with an idempotency key: that of the counter in this slot after this part, plus `behind`. */
interface KeptValue {
  key: string;
  fingerprint: string;
  part: number;
  /** 0: no value, but how much of the part was taken. */
  slot: number;
  behind: bigint;
}

/** How a batch is to be decided, request by request in the order of arrival, by the statement that writes it. */
export interface Selection {
  /** Each counter, and in which group it is, from 1, and where in it. */
  counters: { name: string; group: number; slot: number; expiresAt: number | undefined }[];
  /** The first and the last part of each group. */
  groups: { begin: number; end: number }[];
  /** Each request's parts one after another, group by group. */
  parts: Part[];
  /** The requests as their parts are sorted: their indexes in the batch. */
  order: number[];
  kept: KeptValue[];
  /** Values that the statement keeps while it decides: for each part, those of all counters of its group. */
  carried: number;
}

/** So many of them, of 8 bytes each, at most. A single request carries half as many. */
const CARRIED_MAX = 2_000_000;

/** A batch from which the statement leaves out the requests that do not fit. */
export interface SelectiveBatch extends Batch {
  selection: Selection;
}

export const isSelective = (batch: Batch): batch is SelectiveBatch => 'selection' in batch;

/**
 * What is to be written together as far as it fits, decided in the order of arrival: all requests, or the first ones, where
 * deciding on all would take long, as on many bulks that share a counter.
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
  for (const { at, sum } of steps[0] ?? []) {
    const { slot, total } = parts[before + at] as Part;
    kept.push({ key, fingerprint, part: before + at + 1, slot, behind: sum - total });
  }
  if (partial) kept.push({ key, fingerprint, part: before + 1, slot: 0, behind: 0n });
}

import { Problem } from '../errors/problem.ts';
import type { ChangeRequest } from './change.ts';
import { type CounterState, timestamp, VALUE_MAX } from './counter.ts';
import {
  type Answer,
  type Counted,
  isOfRequest,
  keyReused,
  type Made,
  type PendingIncrement,
  type PendingRequest,
} from './request.ts';
import { idOf, quotedRow, type Row } from './row.ts';

/** The state of a row under its lock. */
export interface RowState {
  value: number;
  /** Null: no bound but the range of all counters. */
  min: number | null;
  max: number | null;
  /** In milliseconds since 1970; null: never. */
  expiresAt: number | null;
}

/** A request that was applied before, as stored with its key. */
export interface KnownRequest {
  /** The fingerprint of the request. */
  request: string;
  answer: StoredAnswer;
}

/** What is stored with a key of the answer to its request. */
export type StoredAnswer = (Counted | { value: number; added?: number } | Made) & {
  /** In an answer that an earlier version stored, the only field. */
  values?: (number | null)[];
};

/** What is known when a batch is decided, as of one moment, under the locks on its rows. */
export interface World {
  /** The moment, in milliseconds since 1970, by the clock of the database. */
  now: number;
  /** The rows that exist and have not expired, by their identity. */
  states: ReadonlyMap<string, RowState>;
  /** The requests that were applied under keys of this batch, by the digest of the key. */
  known: ReadonlyMap<string, KnownRequest>;
  /** The expiry that a row has when it begins, in milliseconds since 1970; null: none. */
  expiryOf: (row: Row) => number | null;
}

export interface Decisions {
  /** The answer to each request, or why it is refused. */
  outcomes: (Answer | Problem)[];
  /** The rows that change, by their identity, with their new states; undefined: the row is removed. */
  changed: Map<string, { row: Row; state: RowState | undefined }>;
  /** The answers to store with the keys of the requests that are applied. */
  kept: { key: string; request: string; answer: StoredAnswer }[];
}

/**
 * Decides on requests in the order of their arrival: each is applied as a whole to the states that those before it have
 * left, or refused and not applied. Nothing but its parameters matters.
 */
export function decide(requests: readonly PendingRequest[], world: World): Decisions {
  const decisions: Decisions = { outcomes: [], changed: new Map(), kept: [] };
  const stateOf = (row: Row): RowState | undefined => {
    const id = idOf(row);
    const changed = decisions.changed.get(id);
    if (!changed) return world.states.get(id);
    const expiresAt = changed.state?.expiresAt ?? null;
    return expiresAt !== null && expiresAt <= world.now ? undefined : changed.state;
  };
  for (const request of requests) {
    const { sent, key, fingerprint } = request;
    const earlier = key === undefined ? undefined : world.known.get(key);
    if (earlier) {
      decisions.outcomes.push(replay(request, earlier));
      continue;
    }
    const decided =
      'change' in sent
        ? decideChange(sent, request.rows[0] as Row, stateOf)
        : decideIncrements(request.increments, sent.partial ?? false, { stateOf, expiryOf: world.expiryOf });
    if (decided instanceof Problem) {
      decisions.outcomes.push(decided);
      continue;
    }
    for (const [row, state] of decided.states) decisions.changed.set(idOf(row), { row, state });
    if (key !== undefined && fingerprint !== undefined)
      decisions.kept.push({ key, request: fingerprint, answer: storedForm(decided.answer) });
    decisions.outcomes.push({ ...decided.answer, replayed: false });
  }
  return decisions;
}

/** A single increment is stored as the plain statement stores it. */
const storedForm = (answer: Counted | Made): StoredAnswer => {
  if (!('values' in answer) || answer.values.length !== 1) return answer;
  const [value = Number.NaN] = answer.values;
  return { value, ...(answer.added === undefined ? {} : { added: answer.added }) };
};

/** The answer to a request that was applied before. */
export function replay(request: PendingRequest, { request: stored, answer }: KnownRequest): Answer | Problem {
  const { sent } = request;
  if (!isOfRequest(request, stored)) return keyReused();
  const list = answer.values ?? [];
  if ('change' in sent) {
    if ('state' in answer) return { ...answer, replayed: true };
    const [value, min = null, max = null, replaced = null, expiry = null] = list;
    const expiresAt = expiry === null ? null : timestamp(expiry);
    return { state: { value: value as number, min, max, expiresAt }, replaced, replayed: true };
  }
  const values = 'value' in answer ? [answer.value] : (list as number[]).slice(0, request.increments.length);
  const added = 'added' in answer ? answer.added : (list[1] as number | undefined);
  return { values, ...(sent.partial && added !== undefined ? { added } : {}), replayed: true };
}

interface Decided {
  answer: Counted | Made;
  states: [Row, RowState | undefined][];
}

interface Situation extends Pick<World, 'expiryOf'> {
  stateOf: (row: Row) => RowState | undefined;
}

function decideIncrements(
  increments: readonly PendingIncrement[],
  partial: boolean,
  { stateOf, expiryOf }: Situation,
): Decided | Problem {
  const after = new Map<string, [Row, RowState]>();
  const values: number[] = [];
  let added: bigint | undefined;
  for (const increment of increments) {
    const { row } = increment;
    const id = idOf(row);
    const state = after.get(id)?.[1] ??
      stateOf(row) ?? { value: 0, min: null, max: null, expiresAt: expiryOf(row) };
    added = partial ? fitting(increment, state) : BigInt(increment.by);
    const refused = partial ? undefined : refusal(increment, state, stateOf(row)?.value ?? 0);
    if (refused) return refused;
    const value = Number(BigInt(state.value) + added);
    after.set(id, [row, { ...state, value }]);
    values.push(value);
  }
  const answer = partial ? { values, added: Number(added) } : { values };
  return { answer, states: [...after.values()] };
}

const LIMIT = BigInt(VALUE_MAX);

/** The lowest and the highest value that a row may have, and those that an increment may lead to. */
const rangeOf = ({ min, max }: Pick<RowState, 'min' | 'max'>): [bigint, bigint] => [
  min === null ? -LIMIT : BigInt(min),
  max === null ? LIMIT : BigInt(max),
];

const ownRangeOf = ({ min, max }: PendingIncrement): [bigint, bigint] =>
  rangeOf({ min: min ?? null, max: max ?? null });

/** As much of the amount as the bounds admit: from 0 to `by`. */
function fitting(increment: PendingIncrement, state: RowState): bigint {
  const [[min, max], [ownMin, ownMax]] = [rangeOf(state), ownRangeOf(increment)];
  const value = BigInt(state.value);
  const by = BigInt(increment.by);
  const low = ownMin > min ? ownMin : min;
  const high = ownMax < max ? ownMax : max;
  const wanted = value + by;
  const reached = by > 0n ? (wanted < high ? wanted : high) : wanted > low ? wanted : low;
  const isFurther = by > 0n ? reached > value : reached < value;
  return isFurther && reached >= low && reached <= high ? reached - value : 0n;
}

/**
 * Why an increment does not fit; undefined: it does.
 *
 * @param start the value before the request, which may have several increments of the row
 */
function refusal(increment: PendingIncrement, state: RowState, start: number): Problem | undefined {
  const before = BigInt(state.value);
  const after = before + BigInt(increment.by);
  const [[min, max], [ownMin, ownMax]] = [rangeOf(state), ownRangeOf(increment)];
  const outOf = (limit: bigint) => ({ increment, start, before, limit, fits: fitting(increment, state) });
  if (after > max) return outOfRow(outOf(max), 'max', state);
  if (after < min) return outOfRow(outOf(min), 'min', state);
  const sum = after - BigInt(start);
  if (after > ownMax) return outOfOwn(outOf(ownMax), 'max', sum);
  if (after < ownMin) return outOfOwn(outOf(ownMin), 'min', sum);
  return undefined;
}

interface Excess {
  increment: PendingIncrement;
  /** The value before the request, and before this increment of it. */
  start: number;
  before: bigint;
  limit: bigint;
  fits: bigint;
}

function outOfRow(excess: Excess, side: 'min' | 'max', { min, max }: RowState): Problem {
  const { limit } = excess;
  if ((side === 'max' ? max : min) === null) {
    return new Problem(
      'out_of_range',
      `${valueIn(excess)} and would leave the range from -${VALUE_MAX} to ${VALUE_MAX}`,
    );
  }
  return outOfBounds(excess, `its ${side} is ${limit}`, {
    ...(min === null ? {} : { min }),
    ...(max === null ? {} : { max }),
  });
}

/** @param sum what the request adds to the row, up to and including this increment */
function outOfOwn(excess: Excess, side: 'min' | 'max', sum: bigint): Problem {
  const { min, max, row } = excess.increment;
  // The next window admits it, if the increments up to this one fit into a window without others.
  const fitsLater = (min === undefined || sum >= min) && (max === undefined || sum <= max);
  const retryAfterS = Math.max(1, Math.ceil((row.end - Date.now()) / 1000));
  return outOfBounds(
    excess,
    `the ${side} of the increment is ${excess.limit}`,
    { ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) },
    row.period !== '' && fitsLater ? { retryAfterS } : {},
  );
}

/** The value of the row. Nothing of a refused request is applied, but its earlier increments take room. */
const valueIn = ({ increment: { row }, start, before }: Excess): string =>
  `${quotedRow(row)} is ${start}${before === BigInt(start) ? '' : `, ${before} with the increments before this one`}`;

function outOfBounds(
  excess: Excess,
  rule: string,
  bounds: { min?: number; max?: number },
  more: { retryAfterS?: number } = {},
): Problem {
  const {
    increment: { row, by },
    start,
    fits: room,
  } = excess;
  const { name, period } = row;
  return new Problem('out_of_bounds', `${valueIn(excess)}, and ${rule}: ${room} would fit, not ${by}`, {
    // For programs.
    members: {
      name,
      ...(period === '' ? {} : { window: period }),
      value: start,
      ...bounds,
      fits: Number(room),
    },
    ...more,
  });
}

function decideChange(
  { name, change, precondition }: ChangeRequest,
  row: Row,
  stateOf: Situation['stateOf'],
): Decided | Problem {
  const before = stateOf(row);
  if (!change && !before) return { answer: { state: null, replaced: null }, states: [] };
  if (!isMet(precondition, before)) {
    const unmet = before
      ? `${JSON.stringify(name)} is not in the expected state`
      : `there is no counter ${JSON.stringify(name)}`;
    return new Problem(
      'precondition_failed',
      precondition === 'missing' ? `${JSON.stringify(name)} exists already` : `${unmet}; read it again`,
    );
  }
  const replaced = before?.value ?? null;
  if (!change) return { answer: { state: null, replaced }, states: [[row, undefined]] };
  const { value = before?.value ?? 0, min = before?.min ?? null, max = before?.max ?? null } = change;
  const { expiresAt: expiry } = change;
  const expiresAt =
    expiry === undefined ? (before?.expiresAt ?? null) : expiry === null ? null : Date.parse(expiry);
  const [low, high] = rangeOf({ min, max });
  if (value < low || value > high) {
    return new Problem(
      'out_of_bounds',
      `the change ${JSON.stringify(change)} would put the value of ${JSON.stringify(name)} out of its bounds`,
    );
  }
  const state = { value, min, max, expiresAt };
  return { answer: { state: counterState(state), replaced }, states: [[row, state]] };
}

const counterState = ({ expiresAt, ...state }: RowState): CounterState => ({
  ...state,
  expiresAt: expiresAt === null ? null : timestamp(expiresAt),
});

function isMet(precondition: ChangeRequest['precondition'], state: RowState | undefined): boolean {
  if (precondition === 'missing') return state === undefined;
  if (precondition === 'exists' || !state) return state !== undefined;
  return precondition.oneOf.some(
    ({ value, min, max, expiresAt }) =>
      value === state.value &&
      min === state.min &&
      max === state.max &&
      (expiresAt === null ? null : Date.parse(expiresAt)) === state.expiresAt,
  );
}

import { hash } from 'node:crypto';
import { Problem } from '../errors/problem.ts';
import { type Change, type ChangeRequest, fingerprintOfChange } from './change.ts';
import { assertValue, BULK_MAX, CHARACTER, NAME_MAX, shown } from './counter.ts';
import { inOrder, idOf, type Row, rowOfCounter } from './row.ts';
import { canonical, windowAt } from './windows.ts';

export interface Increment {
  name: string;
  by: number;
  /** The lowest and the highest value that the increment may lead to, in addition to the counter's own bounds. */
  min?: number | undefined;
  max?: number | undefined;
  /** The increment counts in the current window of this length, such as `1h`, and not in the counter itself. */
  window?: string | undefined;
}

/** An increment as callers give it: `by` is 1 by default. */
export const incrementOf = ({
  name,
  by = 1,
  min,
  max,
  window,
}: Omit<Increment, 'by'> & { by?: number | undefined }): Increment => ({ name, by, min, max, window });

/** The request of one caller to add to counters, which is applied as a whole or not at all. */
export interface IncrementRequest {
  increments: readonly Increment[];
  /** The idempotency key: however often the request is sent with it, it counts once. */
  key?: string | undefined;
  /** Whether the client has disconnected; a request whose batch has not begun by then is dropped. */
  abandoned?: () => boolean;
  /** Whether to add as much as the bounds allow instead of all or nothing; for a single increment only. */
  partial?: boolean;
}

export type CounterRequest = IncrementRequest | ChangeRequest;

/** The answer to increments that were counted. */
export interface Counted {
  /** The value after each increment, in their order. */
  values: number[];
  /** The amount that was added, if the request was partial. */
  added?: number;
}

/** The answer to a change that was made: the state after it, null after a deletion, and the value before it. */
export interface Made {
  state: Required<Change> | null;
  /** Null: the counter did not exist. */
  replaced: number | null;
}

/** An answer, with whether the request had been applied before under the same key, and was not applied again. */
export type Answer = (Counted | Made) & { replayed: boolean };

/** One increment of a request, and the row in which it counts. */
export interface PendingIncrement {
  row: Row;
  by: number;
  min?: number | undefined;
  max?: number | undefined;
}

/** A request that has not been answered yet. */
export interface PendingRequest {
  /** As it was sent. */
  sent: CounterRequest;
  /** Empty: the request changes the row instead. */
  increments: readonly PendingIncrement[];
  /** The rows that it needs, each once, in the order of their locks. */
  rows: readonly Row[];
  /** The digest of its key, and that of what it asks for: 32 hexadecimal digits each. */
  key?: string;
  fingerprint?: string;
}

/** @throws {Problem} `out_of_range` or `invalid_request` when the request is not valid, whatever the counters are */
export function pendingOf(sent: CounterRequest): PendingRequest {
  const keyed = sent.key === undefined ? {} : { key: digest(sent.key), fingerprint: fingerprintOf(sent) };
  if ('change' in sent) return { sent, increments: [], rows: [rowOfCounter(sent.name)], ...keyed };
  assertIncrements(sent);
  const at = Date.now();
  const increments = sent.increments.map(({ name, window, by, min, max }) => ({
    row: window === undefined ? rowOfCounter(name) : windowAt(name, window, at),
    by,
    min,
    max,
  }));
  return { sent, increments, rows: rowsOf(increments), ...keyed };
}

function rowsOf(increments: readonly PendingIncrement[]): Row[] {
  const [only] = increments;
  if (only && increments.length === 1) return [only.row];
  return [...new Map(increments.map(({ row }) => [idOf(row), row])).values()].toSorted(inOrder);
}

function assertIncrements({ increments, partial = false }: IncrementRequest): void {
  for (const { by, min, max } of increments) {
    assertValue('by', by);
    if (min !== undefined) assertValue('min', min);
    if (max !== undefined) assertValue('max', max);
    if (min !== undefined && max !== undefined && min > max)
      throw new Problem(
        'invalid_request',
        `min is ${min} and max is ${max}; min must not be greater than max`,
      );
  }
  if (typeof partial !== 'boolean')
    throw new Problem('invalid_request', `partial is ${shown(partial)}; allowed: true or false`);
  const { length } = increments;
  const allowed = length > 0 && length <= (partial ? 1 : BULK_MAX);
  if (allowed) return;
  throw new Problem(
    'invalid_request',
    `there are ${length} increments; allowed: 1 to ${BULK_MAX}, and exactly one in a partial request`,
  );
}

/** How many increments of a bulk cost as much as one single request. Measured: see docs/benchmark.md. */
const BULK_DISCOUNT = 5;

/** The weight of a request towards the limits on batches and queues. */
export const weightOf = ({ increments }: Pick<PendingRequest, 'increments'>): number =>
  Math.max(1, Math.ceil(increments.length / BULK_DISCOUNT));

/** 16 bytes of a SHA-256, in hexadecimal digits: what the table of keys holds of a text. */
const digest = (text: string): string => hash('sha256', text, 'hex').slice(0, 32);

/** A digest that distinguishes different requests. Stored with a key, it detects the reuse of the key. */
const fingerprintOf = (sent: CounterRequest): string =>
  digest('change' in sent ? fingerprintOfChange(sent) : textOf(sent, canonical));

function textOf({ increments, partial = false }: IncrementRequest, windowOf: (window: string) => string) {
  // Without bounds and windows, the text is the one of which earlier versions of the service stored the digest.
  const text = JSON.stringify(
    increments.map(({ name, by, min, max, window }) =>
      min === undefined && max === undefined && window === undefined
        ? [name, by]
        : [name, by, { min, max, window: window === undefined ? window : windowOf(window) }],
    ),
  );
  return partial ? `partial ${text}` : text;
}

/** Whether a stored fingerprint is that of the request. Earlier versions stored that of the window as it was sent (60s). */
export const isOfRequest = ({ sent, fingerprint }: PendingRequest, stored: string): boolean =>
  stored === fingerprint || (!('change' in sent) && stored === digest(textOf(sent, (window) => window)));

const KEY = /^(?:[\x21-\x7e]{1,255}|"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,253}")$/;

/** A string of RFC 9651 (structured fields), which the draft of the Idempotency-Key header requires. */
const STRING = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"$/;

/**
 * Returns the bare form of an idempotency key: `"k"` and `k` are the same key.
 *
 * @throws {Problem} `invalid_request` with the keys that are allowed
 */
export function bareKey(key: unknown): string {
  if (typeof key === 'string' && KEY.test(key))
    return STRING.exec(key)?.[1]?.replaceAll(/\\(["\\])/g, '$1') ?? key;
  throw new Problem(
    'invalid_request',
    'the idempotency key must be given once and have 1 to 255 visible ASCII characters, without spaces, or be a string in double quotes; a UUID is a good choice',
  );
}

const PART_OF_NAME = new RegExp(`^${CHARACTER}*$`);

/** Whether a text can be a part of a name, or empty. */
export const isPartOfName = (text: unknown): boolean => typeof text === 'string' && PART_OF_NAME.test(text);

/** @throws {Problem} `invalid_request` when it is not an array */
export function assertArray(field: string, value: unknown): void {
  if (!Array.isArray(value)) throw new Problem('invalid_request', `${field} must be an array`);
}

const NAME = new RegExp(`^${CHARACTER}{1,${NAME_MAX}}$`);

/** @throws {Problem} `invalid_request` with the names that are allowed */
export function assertName(name: unknown): asserts name is string {
  if (typeof name === 'string' && NAME.test(name)) return;
  throw new Problem(
    'invalid_request',
    `the name is ${shown(name).slice(0, NAME_MAX)}; allowed: 1 to ${NAME_MAX} characters, without control characters`,
  );
}

/** The error of a request whose key was used for a different request. */
export const keyReused = (): Problem =>
  new Problem(
    'key_reused',
    'this Idempotency-Key was used for a different request; a new request needs a new key',
  );

/** The error of a request whose client has disconnected. */
export const clientGone = (): Problem =>
  new Problem('client_gone', 'the client disconnected before its batch began');

import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { Problem } from '../errors/problem.ts';
import type { Caller } from '../http/request-caller.ts';
import { assertValue, shown } from './range.ts';
import { BULK_MAX, CHARACTER, NAME_MAX } from './schemas.ts';

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

/** The request of one caller, which is applied as a whole or not at all. */
export interface IncrementRequest {
  increments: readonly Increment[];
  /** The idempotency key: however often the request is sent with it, it counts once. */
  key?: string | undefined;
  /** Whether the client has disconnected; a request whose batch has not begun by then is dropped. */
  abandoned?: () => boolean;
  /** Whether to add as much as the bounds allow instead of all or nothing; for a single increment only. */
  partial?: boolean;
}

/** The answer to a request that was counted. */
export interface Answer {
  /** The value after each increment, in their order; for a partial request, the amount that was added follows. */
  values: number[];
  /** Whether the request had been counted before under the same key, and was not counted again. */
  replayed: boolean;
}

const KEY = /^[\x21-\x7e]{1,255}$/;

/** @throws {Problem} `invalid_request` with the keys that are allowed */
export function assertKey(field: string, key: unknown): asserts key is string {
  if (typeof key === 'string' && KEY.test(key)) return;
  throw new Problem(
    'invalid_request',
    `${field} must be given once and have 1 to 255 visible ASCII characters, without spaces; a UUID is a good choice`,
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

/**
 * The Idempotency-Key of a request, if it has one. Source: IETF draft "The Idempotency-Key HTTP Header Field", in which
 * the client chooses any string as the key.
 *
 * @param caller the owner of the key: keys of different callers are never equal
 * @throws {Problem} `invalid_request` with the keys that are allowed
 */
export function keyOf(
  { 'idempotency-key': key }: IncomingHttpHeaders,
  caller?: Pick<Caller, 'keyspace'>,
): string | undefined {
  if (key === undefined) return undefined;
  assertKey('Idempotency-Key', key);
  return (caller?.keyspace ?? '') + key;
}

/** The counters that a validated request changes: the one in its path or, if the path has none, those in its body. */
export function namesOf({ params, body }: FastifyRequest): string[] {
  const { name } = params as { name?: string };
  return name === undefined ? (body as Increment[]).map((increment) => increment.name) : [name];
}

/** @throws {Problem} `out_of_range` or `invalid_request` when the request is not valid, whatever the counters are */
export function assertRequest({ increments, partial = false }: IncrementRequest): void {
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

/** A digest that distinguishes different requests. Stored with a key, it detects the reuse of the key. */
export function fingerprintOf({ increments, partial = false }: IncrementRequest): string {
  // Without bounds and windows, the fingerprint is the one that earlier versions of the service stored.
  const text = JSON.stringify(
    increments.map(({ name, by, min, max, window }) =>
      min === undefined && max === undefined && window === undefined
        ? [name, by]
        : [name, by, { min, max, window }],
    ),
  );
  return hash('sha256', partial ? `partial ${text}` : text, 'base64url').slice(0, 22);
}

/** The error of a request whose key was used for a different request. */
export const keyReused = (): Problem =>
  new Problem(
    'key_reused',
    'this Idempotency-Key was used for a different request; a new request needs a new key',
  );

import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { Problem } from '../errors/problem.ts';
import type { Caller } from '../http/request-caller.ts';
import { assertValue } from './range.ts';
import { BULK_MAX, CHARACTER, NAME_MAX } from './schemas.ts';

export interface Increment {
  name: string;
  by: number;
  /** The lowest and the highest value that it may lead to, besides the counter's own bounds. */
  min?: number | undefined;
  max?: number | undefined;
  /** Counts in the current window of this length, such as `1h`, and not in the counter itself. */
  window?: string | undefined;
}

/** What one caller asks for: applied as a whole or not at all. */
export interface IncrementRequest {
  increments: readonly Increment[];
  /** The caller's own name for this request, under which it counts once. */
  key?: string | undefined;
  /** Whether the caller has gone away; a request that was not begun by then is dropped. */
  abandoned?: () => boolean;
  /** Whether as much is taken as the bounds of the counter allow, instead of all or nothing; of a single increment. */
  partial?: boolean;
}

/** What a request was answered. */
export interface Answer {
  /** What each increment of the request wrote, in their order; of a partial one, how much was added comes after it. */
  values: number[];
  /** Whether the request had been counted before, under the same key, and was not counted again. */
  replayed: boolean;
}

const KEY = /^[\x21-\x7e]{1,255}$/;

/** @throws {Problem} `invalid_request`, saying what a key may be */
export function assertKey(field: string, key: unknown): asserts key is string {
  if (typeof key === 'string' && KEY.test(key)) return;
  throw new Problem(
    'invalid_request',
    `${field} must be given once, with 1 to 255 visible ASCII characters and no space; a UUID is a good one`,
  );
}

const NAME = new RegExp(`^${CHARACTER}{1,${NAME_MAX}}$`);

/** @throws {Problem} `invalid_request`, saying what a name may be */
export function assertName(name: unknown): asserts name is string {
  if (typeof name === 'string' && NAME.test(name)) return;
  throw new Problem(
    'invalid_request',
    `the name is ${JSON.stringify(name)?.slice(0, NAME_MAX)}; allowed: 1 to ${NAME_MAX} characters, any but control characters`,
  );
}

/**
 * The Idempotency-Key of a request, if it has one. Source: IETF draft "The Idempotency-Key HTTP Header Field", whose
 * key is any text that the client makes up.
 *
 * @param caller whose key it is: another caller's key is never the same
 * @throws {Problem} `invalid_request`, saying what a key may be
 */
export function keyOf(
  { 'idempotency-key': key }: IncomingHttpHeaders,
  caller?: Pick<Caller, 'keyspace'>,
): string | undefined {
  if (key === undefined) return undefined;
  assertKey('Idempotency-Key', key);
  return (caller?.keyspace ?? '') + key;
}

/** The counters that a validated request changes: the one in its address; only without one, those in its body. */
export function namesOf({ params, body }: FastifyRequest): string[] {
  const { name } = params as { name?: string };
  return name === undefined ? (body as Increment[]).map((increment) => increment.name) : [name];
}

/**
 * @throws {Problem} `out_of_range`, `invalid_request` when it is not one that counters could be asked for
 */
export function assertRequest({ increments, partial = false }: IncrementRequest): void {
  for (const { by, min, max } of increments) {
    assertValue('by', by);
    if (min !== undefined) assertValue('min', min);
    if (max !== undefined) assertValue('max', max);
    if (min !== undefined && max !== undefined && min > max)
      throw new Problem('invalid_request', `min is ${min} and max is ${max}; allowed: min up to max`);
  }
  const { length } = increments;
  const allowed = length > 0 && length <= (partial ? 1 : BULK_MAX);
  if (allowed) return;
  throw new Problem(
    'invalid_request',
    `there are ${length} increments; allowed: 1 to ${BULK_MAX}, and of a partial request one`,
  );
}

/** A digest that differs between different requests: what a key stands for. */
export function fingerprintOf({ increments, partial = false }: IncrementRequest): string {
  // Those without bounds and window have the fingerprint that earlier versions of the service stored.
  const text = JSON.stringify(
    increments.map(({ name, by, min, max, window }) =>
      min === undefined && max === undefined && window === undefined
        ? [name, by]
        : [name, by, { min, max, window }],
    ),
  );
  return hash('sha256', partial ? `partial ${text}` : text, 'base64url').slice(0, 22);
}

/** The error of a request whose key stands for another one. */
export const keyReused = (): Problem =>
  new Problem('key_reused', 'this Idempotency-Key stands for another request; a new request needs a new key');

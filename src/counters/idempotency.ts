import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { Problem } from '../errors/problem.ts';
import type { IncrementRequest } from './batch.ts';

const KEY = /^[\x21-\x7e]{1,255}$/;

/**
 * The Idempotency-Key of a request, if it has one. Source: IETF draft "The Idempotency-Key HTTP Header Field", whose
 * key is any text that the client makes up.
 *
 * @throws {Problem} that says what a key may be
 */
export function keyOf({ 'idempotency-key': key }: IncomingHttpHeaders): string | undefined {
  if (key === undefined) return undefined;
  if (typeof key === 'string' && KEY.test(key)) return key;
  throw new Problem(
    'invalid_request',
    'Idempotency-Key must be sent once, with 1 to 255 visible ASCII characters and no space; a UUID is a good one',
  );
}

/** Short, and the same for the same request only: what a key stands for. */
export function fingerprint({ increments }: IncrementRequest): string {
  const text = JSON.stringify(increments.map(({ name, by }) => [name, by]));
  return hash('sha256', text, 'base64url').slice(0, 22);
}

/** What to tell a request whose key stands for another one. */
export const keyReused = () =>
  new Problem('key_reused', 'this Idempotency-Key stands for another request; a new request needs a new key');

/** Several requests with one key in one batch: the first of them, and the others, which get its answer. */
export function byKey(requests: readonly IncrementRequest[]) {
  const known = new Map<string, IncrementRequest>();
  const firsts: IncrementRequest[] = [];
  const twins: { twin: IncrementRequest; first: IncrementRequest }[] = [];
  for (const request of requests) {
    const { key } = request;
    const first = key === undefined ? undefined : known.get(key);
    if (first) twins.push({ twin: request, first });
    else {
      firsts.push(request);
      if (key !== undefined) known.set(key, request);
    }
  }
  return { firsts, twins };
}

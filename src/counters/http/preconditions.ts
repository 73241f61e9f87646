import type { IncomingHttpHeaders } from 'node:http';
import { Problem } from '../../errors/problem.ts';
import type { Precondition } from '../change.ts';
import { type CounterState, timestamp } from '../counter.ts';

/**
 * The entity tag of a counter: its value, with its bounds and its expiry if it has any, since a counter has no other
 * state. A client that read 5 and sends "if it is still 5" means the value, however often it has changed in between.
 */
export const etagOf = ({ value, min, max, expiresAt }: CounterState): string => {
  const expiry = expiresAt === null ? '' : `:${Date.parse(expiresAt)}`;
  return min === null && max === null && expiry === ''
    ? `"${value}"`
    : `"${value}:${min ?? ''}:${max ?? ''}${expiry}"`;
};

/**
 * Reads If-Match and If-None-Match of a request that changes a counter (RFC 9110, 13.1). Tags are compared strongly:
 * a weak tag matches nothing.
 *
 * @throws {Problem} `precondition_required` when both are missing; `invalid_request` when they are malformed
 */
export function preconditionOf(headers: IncomingHttpHeaders): Precondition {
  const { 'if-match': match, 'if-none-match': noneMatch } = headers;
  if (match !== undefined && noneMatch !== undefined) {
    throw new Problem(
      'invalid_request',
      'If-Match and If-None-Match contradict each other; send one of them',
    );
  }
  if (match !== undefined) {
    if (match.trim() === '*') return 'exists';
    return { oneOf: tagsOf('If-Match', match).flatMap((tag) => stateTagged(tag) ?? []) };
  }
  if (noneMatch === undefined) {
    throw new Problem(
      'precondition_required',
      'send If-Match with the ETag of the counter, or If-None-Match: * if the counter must not exist yet',
    );
  }
  if (noneMatch.trim() === '*') return 'missing';
  throw new Problem('invalid_request', 'If-None-Match must be * in a change');
}

/** Whether the client's copy is still current: If-None-Match of a read, compared weakly (RFC 9110, 13.1.2). */
export function isUnchanged({ 'if-none-match': noneMatch }: IncomingHttpHeaders, etag: string): boolean {
  if (noneMatch === undefined) return false;
  return (
    noneMatch.trim() === '*' ||
    tagsOf('If-None-Match', noneMatch).some((tag) => tag.replace(/^W\//, '') === etag)
  );
}

const STATE = /^"(-?\d{1,16})(?::(-?\d{1,16})?:(-?\d{1,16})?(?::(\d{1,15}))?)?"$/;

/** The state with this entity tag, if there is one. */
function stateTagged(tag: string): CounterState | undefined {
  const [, value = '', ...others] = STATE.exec(tag) ?? [];
  const [min = null, max = null, expiry = null] = others.map((digits) => (digits ? Number(digits) : null));
  const state = { value: Number(value), min, max, expiresAt: expiry === null ? null : timestamp(expiry) };
  // A tag with a number in another notation, such as 007, is the tag of no state.
  return etagOf(state) === tag ? state : undefined;
}

/** An entity tag as defined in RFC 9110, 8.8.3: quoted, without quotes or spaces inside. */
const TAG = /^(W\/)?"[\x21\x23-\x7e\x80-\xff]*"$/;

function tagsOf(header: string, text: string): string[] {
  const tags = text.split(',').map((tag) => tag.trim());
  if (tags.every((tag) => TAG.test(tag))) return tags;
  throw new Problem('invalid_request', `${header} must be * or a list of quoted entity tags, such as "42"`);
}

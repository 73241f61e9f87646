import type { IncomingHttpHeaders } from 'node:http';
import { Problem } from '../errors/problem.ts';
import { type CounterState, timestamp } from './counter.ts';

/** What must be so for a change to be made: the counter is in one of these states, exists, or does not. */
export type Precondition = { oneOf: CounterState[] } | 'exists' | 'missing';

/**
 * The entity tag of a counter: its value, with its bounds and its end if it has any, since a counter has no other state. A client that
 * read 5 and sends "if it is still 5" means the value, however often it has changed meanwhile.
 */
export const etagOf = ({ value, min, max, expiresAt }: CounterState): string => {
  const end = expiresAt === null ? '' : `:${Date.parse(expiresAt)}`;
  return min === null && max === null && end === ''
    ? `"${value}"`
    : `"${value}:${min ?? ''}:${max ?? ''}${end}"`;
};

/**
 * Reads If-Match and If-None-Match of a request that changes a counter (RFC 9110, 13.1). Tags are compared strongly:
 * a weak one matches nothing.
 *
 * @throws {Problem} `precondition_required` without either; `invalid_request` when they cannot be understood
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
      'send If-Match with the ETag of the counter, or If-None-Match: * for one that must not exist yet',
    );
  }
  if (noneMatch.trim() === '*') return 'missing';
  throw new Problem('invalid_request', 'If-None-Match must be * here');
}

/** Whether what the client has is what there is: If-None-Match of a read, compared weakly (RFC 9110, 13.1.2). */
export function isUnchanged({ 'if-none-match': noneMatch }: IncomingHttpHeaders, etag: string): boolean {
  if (noneMatch === undefined) return false;
  return (
    noneMatch.trim() === '*' ||
    tagsOf('If-None-Match', noneMatch).some((tag) => tag.replace(/^W\//, '') === etag)
  );
}

const STATE = /^"(-?\d{1,16})(?::(-?\d{1,16})?:(-?\d{1,16})?(?::(\d{1,15}))?)?"$/;

/** The state that has this entity tag, if there is one. */
function stateTagged(tag: string): CounterState | undefined {
  const [, value = '', ...others] = STATE.exec(tag) ?? [];
  const [min = null, max = null, end = null] = others.map((digits) => (digits ? Number(digits) : null));
  const state = { value: Number(value), min, max, expiresAt: end === null ? null : timestamp(end) };
  // Of all ways to write a number there is one that is the tag.
  return etagOf(state) === tag ? state : undefined;
}

/** An entity tag as RFC 9110, 8.8.3 has it: quoted, and without quotes or spaces inside. */
const TAG = /^(W\/)?"[\x21\x23-\x7e\x80-\xff]*"$/;

function tagsOf(header: string, text: string): string[] {
  const tags = text.split(',').map((tag) => tag.trim());
  if (tags.every((tag) => TAG.test(tag))) return tags;
  throw new Problem(
    'invalid_request',
    `${header} must be * or a list of entity tags such as "42", in their quotes`,
  );
}

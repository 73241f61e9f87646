import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Caller } from '../../http/request-caller.ts';
import { isClosed } from '../../http/signals.ts';
import type { Sender } from '../counters.ts';
import type { Increment } from '../request.ts';

/**
 * The Idempotency-Key of a request, if it has one. Source: IETF draft "The Idempotency-Key HTTP Header Field", in which
 * the client chooses any string as the key.
 */
export const keyOf = ({ headers }: Pick<FastifyRequest, 'headers'>): string | undefined =>
  headers['idempotency-key'] as string | undefined;

/** The sender of a request: the caller that its token identifies, and its connection. */
export function senderOf(request: FastifyRequest, reply: FastifyReply): Sender {
  // The import of its type also tells the compiler of the library that requests have one.
  const caller: Caller | undefined = request.caller;
  return {
    keyspace: caller?.keyspace,
    // Checked when the batch begins: a request whose client has disconnected by then is not counted.
    abandoned: () => isClosed(reply),
  };
}

/** The counters that a validated request changes: the one in its path or, if the path has none, those in its body. */
export function namesOf({ params, body }: FastifyRequest): string[] {
  const { name } = params as { name?: string };
  return name === undefined ? (body as Increment[]).map((increment) => increment.name) : [name];
}

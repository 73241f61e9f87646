import type { FastifyReply } from 'fastify';
import { Problem } from './errors.ts';

/** Aborted when the client goes away before it was answered. (`request.signal` is, too, once a body was read.) */
export function clientGone({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  raw.once('close', () => {
    if (!raw.writableFinished) gone.abort(new Problem('client_gone', 'the client went away'));
  });
  return gone.signal;
}

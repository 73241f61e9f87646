import type { FastifyReply } from 'fastify';
import { Problem } from '../errors/problem.ts';

/** Whether the answer can no longer be sent, since the client has disconnected or the answer is complete. */
export function isClosed({ raw }: FastifyReply): boolean {
  // An answer of HTTP/2 has a stream, and no state of its own.
  const { stream } = raw as { stream?: { destroyed: boolean } };
  return (stream ?? raw).destroyed;
}

/** Aborted when the client disconnects before it is answered. (`request.signal` is also aborted once a body was read.) */
export function clientGone({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  const onClose = () => {
    if (!raw.writableFinished) gone.abort(new Problem('client_gone', 'the client disconnected'));
  };
  if (raw.destroyed) onClose();
  else raw.once('close', onClose);
  return gone.signal;
}

/**
 * Runs `work` with a signal that is aborted after `ms` milliseconds, or when one of the other signals is.
 *
 * @param ms the time limit, in milliseconds
 */
export async function withDeadline<T>(
  ms: number,
  others: readonly AbortSignal[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort(new Problem('out_of_time', `the request was not complete within ${ms / 1000} s`));
  }, ms);
  try {
    return await work(AbortSignal.any([...others, late.signal]));
  } finally {
    clearTimeout(timer);
  }
}

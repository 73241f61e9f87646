import type { FastifyReply } from 'fastify';
import { Problem } from '../errors/problem.ts';

/** Aborted when the client goes away before it was answered. (`request.signal` is, too, once a body was read.) */
export function clientGone({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  const leave = () => {
    if (!raw.writableFinished) gone.abort(new Problem('client_gone', 'the client went away'));
  };
  if (raw.destroyed) leave();
  else raw.once('close', leave);
  return gone.signal;
}

/**
 * Runs `work` with a signal that is aborted when it takes too long, or when one of the others is.
 *
 * @param ms milliseconds that it may take
 */
export async function withDeadline<T>(
  ms: number,
  others: readonly AbortSignal[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort(new Problem('out_of_time', `not all of it was done within ${ms / 1000} s`));
  }, ms);
  try {
    return await work(AbortSignal.any([...others, late.signal]));
  } finally {
    clearTimeout(timer);
  }
}

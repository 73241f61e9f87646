import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Problem } from '../errors/problem.ts';

/** How long requests in flight may continue after the service has begun to close, in milliseconds. */
const DRAIN_MS_MAX = 5000;

/** The time that aborted requests have to send their answers, in milliseconds. */
const ABORTED_MS_MAX = 1500;

/**
 * Closes gracefully: requests in flight are answered, each answer closes its connection, and after the last answer all
 * remaining connections are closed. (Browsers open connections in advance, and Node does not treat a connection without a
 * request as idle.) Resources that were opened before this call are closed only when no handler is running, even if its
 * client has disconnected.
 *
 * @returns a signal that is aborted when the remaining requests have to stop
 */
export function drainOnClose(app: FastifyInstance): AbortSignal {
  const stop = new AbortController();
  let draining = false;
  /** The number of answers that have not been sent completely. */
  let openAnswers = 0;
  /** Requests without an answer, whether or not their clients are still connected. */
  const unanswered = new Set<FastifyRequest>();
  const allAnswered = Promise.withResolvers<void>();
  const closeIfDone = () => {
    if (draining && openAnswers === 0) app.server.closeAllConnections();
  };
  const onAnswerClosed = () => {
    openAnswers -= 1;
    closeIfDone();
  };
  app.addHook('onRequest', (request, { raw }, done) => {
    openAnswers += 1;
    unanswered.add(request);
    raw.once('close', onAnswerClosed);
    done();
  });
  app.addHook('onSend', (request, reply, _payload, done) => {
    unanswered.delete(request);
    if (draining) {
      reply.header('connection', 'close');
      if (unanswered.size === 0) allAnswered.resolve();
    }
    done();
  });
  app.addHook('preClose', async () => {
    draining = true;
    const reason = new Problem(
      'shutting_down',
      'the service is shutting down; send the request to another replica, or again later',
    );
    setTimeout(() => stop.abort(reason), DRAIN_MS_MAX).unref();
    // Closes connections that by then have not sent a complete request, or do not read their answer.
    setTimeout(() => app.server.closeAllConnections(), DRAIN_MS_MAX + ABORTED_MS_MAX).unref();
    closeIfDone();
  });
  // Runs after the server has stopped listening, and before the resources that were opened earlier are closed.
  app.addHook('onClose', async () => {
    if (unanswered.size === 0) return;
    await Promise.race([
      allAnswered.promise,
      delay(DRAIN_MS_MAX + ABORTED_MS_MAX, undefined, { ref: false }),
    ]);
  });
  return stop.signal;
}

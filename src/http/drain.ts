import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Problem } from '../errors/problem.ts';

/** How long a request under way may go on once the service closes, in milliseconds. */
const DRAIN_MS_MAX = 5000;

/** For the answers of those that were told to stop, in milliseconds. */
const LAST_WORD_MS = 1500;

/**
 * Closes gracefully: requests under way are answered, each answer ends its connection, and after the last answer every
 * connection that is still open is closed. (Node does not count a connection as idle that never sent a request, as
 * browsers open them in advance.) Resources opened before this call are closed only when no handler works on an answer,
 * even where the client has disconnected.
 *
 * @returns aborted when the requests still under way have to stop
 */
export function drainOnClose(app: FastifyInstance): AbortSignal {
  const stop = new AbortController();
  let draining = false;
  let underWay = 0;
  /** Requests that are not answered yet, whether or not their clients still wait. */
  const unanswered = new Set<FastifyRequest>();
  const allAnswered = Promise.withResolvers<void>();
  const closeIfDone = () => {
    if (draining && underWay === 0) app.server.closeAllConnections();
  };
  const leave = () => {
    underWay -= 1;
    closeIfDone();
  };
  app.addHook('onRequest', (request, { raw }, done) => {
    underWay += 1;
    unanswered.add(request);
    raw.once('close', leave);
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
    const reason = new Problem('shutting_down', 'the service is shutting down');
    setTimeout(() => stop.abort(reason), DRAIN_MS_MAX).unref();
    // Connections that have not sent a whole request, or do not read an answer, by then are closed.
    setTimeout(() => app.server.closeAllConnections(), DRAIN_MS_MAX + LAST_WORD_MS).unref();
    closeIfDone();
  });
  // Run after the server has stopped listening, and before what was opened earlier is closed.
  app.addHook('onClose', async () => {
    if (unanswered.size === 0) return;
    await Promise.race([allAnswered.promise, delay(DRAIN_MS_MAX + LAST_WORD_MS, undefined, { ref: false })]);
  });
  return stop.signal;
}

import type { FastifyInstance, onRequestHookHandler } from 'fastify';
import { refusals, sendProblem } from '../../http/error-handler.ts';
import type { Counters } from '../counters.ts';

/** The interval at which paused connections are resumed, in milliseconds. */
const RESUME_EVERY_MS = 10;

/** The number of connections that are resumed each time, at least. */
const RESUMED_MIN = 10;

/** A connection. What is sent on it while it is paused stays in the network's buffers, and then with the client. */
interface Pausable {
  pause(): unknown;
  resume(): unknown;
}

type Queue = Pick<Counters, 'load'>;

/**
 * While the queue is full, refuses requests before their bodies are read. Refusing takes processor time from serving, so it
 * is cheap (no error with a stack, one log line a second for all refusals) and limited: an HTTP/1 connection whose request
 * was refused is paused, and resumed when there is room, or at the latest when it is its turn. (An HTTP/2 connection also
 * has other requests.)
 */
export function refuseWhenFull(app: FastifyInstance, queue: Queue): onRequestHookHandler {
  const paused = new PausedConnections(queue);
  return (request, reply, done) => {
    if (queue.load.room > 0) return done();
    app[refusals].add('queue_full');
    // Not earlier: until the answer is written, the connection may have to be read (the rest of the body).
    if (request.raw.httpVersionMajor === 1) reply.raw.once('finish', () => paused.add(request.raw.socket));
    sendProblem(request, reply, {
      code: 'queue_full',
      message: `${queue.load.waiting} requests are already waiting; try again later`,
      partlyDone: false,
    });
  };
}

/** Connections that are not read for a while, in the order in which their requests were refused. */
class PausedConnections {
  readonly #queue: Queue;
  #connections: Pausable[] = [];

  constructor(queue: Queue) {
    this.#queue = queue;
  }

  add(connection: Pausable): void {
    connection.pause();
    this.#connections.push(connection);
    if (this.#connections.length === 1) this.#resumeLater();
  }

  #resumeLater(): void {
    setTimeout(() => this.#resume(), RESUME_EVERY_MS);
  }

  #resume(): void {
    // An eighth of the room: requests on other connections need the rest.
    const count = Math.max(RESUMED_MIN, this.#queue.load.room >> 3);
    for (const connection of this.#connections.splice(0, count)) {
      connection.resume();
    }
    if (this.#connections.length > 0) this.#resumeLater();
  }
}

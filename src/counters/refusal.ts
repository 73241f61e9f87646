import type { FastifyInstance, onRequestHookHandler } from 'fastify';
import { sendProblem } from '../http/error-handler.ts';
import type { CounterWriter } from './writer.ts';

/** How often those that were refused are looked at, in milliseconds, and how many are listened to again at least. */
const POLL_MS = 10;
const AGAIN_MIN = 10;

/** A connection; what is sent on it while it is paused stays with the network, and then with the client. */
interface Pausable {
  pause(): unknown;
  resume(): unknown;
}

type Queue = Pick<CounterWriter, 'room' | 'waiting'>;

/**
 * Refuses before the body is read while the queue is full. Refusing takes processor time from serving, so it is cheap (no
 * error with its stack, one log line a second for all refusals) and limited: a connection that was refused is read again
 * when there is room, or when it is its turn.
 */
export function refuseWhenFull(app: FastifyInstance, queue: Queue): onRequestHookHandler {
  const held = new Held(queue);
  return (request, reply, done) => {
    if (queue.room > 0) return done();
    app.refusals.add('queue_full');
    // Only then: an answer that is not written yet may need the connection to be read (the rest of the body).
    reply.raw.once('finish', () => held.add(request.raw.socket));
    sendProblem(request, reply, {
      code: 'queue_full',
      message: `${queue.waiting} are waiting already`,
      partlyDone: false,
    });
  };
}

/** Connections that are not listened to for a while, in the order of their refusal. */
class Held {
  readonly #queue: Queue;
  #connections: Pausable[] = [];

  constructor(queue: Queue) {
    this.#queue = queue;
  }

  add(connection: Pausable): void {
    connection.pause();
    this.#connections.push(connection);
    if (this.#connections.length === 1) this.#lookLater();
  }

  #lookLater(): void {
    setTimeout(() => this.#look(), POLL_MS);
  }

  #look(): void {
    // Requests that were not refused need the room, too.
    const again = Math.max(AGAIN_MIN, this.#queue.room >> 3);
    for (const connection of this.#connections.splice(0, again)) {
      connection.resume();
    }
    if (this.#connections.length > 0) this.#lookLater();
  }
}

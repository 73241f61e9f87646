import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

type Turn = [IncomingMessage, ServerResponse];

/**
 * Serves the requests of each connection one after another. A client may send further requests without waiting for
 * answers (pipelining). Only safe requests may be served in parallel (RFC 9112, 9.3.2), but Node passes on all of them at
 * once, so a single connection could cause thousands of answers in memory.
 *
 * While requests wait, nothing more is read from their connection, so at most the requests of one read (64 kB) wait.
 */
export class Turns {
  readonly #serve: RequestListener;
  /** The waiting requests of each connection on which a request is being served. */
  readonly #waiting = new WeakMap<Socket, Turn[]>();

  constructor(serve: RequestListener) {
    this.#serve = serve;
  }

  /** Whether a request of this connection is being served. */
  isBusy(socket: Socket): boolean {
    return this.#waiting.has(socket);
  }

  readonly listener: RequestListener = (request, response) => {
    const { socket } = request;
    const waiting = this.#waiting.get(socket);
    if (waiting) {
      waiting.push([request, response]);
      socket.pause();
    } else {
      const queue: Turn[] = [];
      this.#waiting.set(socket, queue);
      this.#take(socket, queue, request, response);
    }
  };

  #take(socket: Socket, waiting: Turn[], request: IncomingMessage, response: ServerResponse): void {
    response.once('close', () => this.#next(socket, waiting));
    this.#serve(request, response);
  }

  #next(socket: Socket, waiting: Turn[]): void {
    const turn = waiting.shift();
    // After an answer that closes the connection, further requests are ignored (RFC 9112, 9.6).
    if (!turn || !socket.writable) {
      this.#waiting.delete(socket);
      return;
    }
    // The last request may have a body that has not been read yet.
    if (waiting.length === 0) socket.resume();
    this.#take(socket, waiting, ...turn);
  }
}

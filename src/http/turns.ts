import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

type Turn = [IncomingMessage, ServerResponse];

/**
 * Serves the requests of each connection one after another. A client may send the next ones without waiting for
 * answers (pipelining), and only safe ones may be served at the same time (RFC 9112, 9.3.2), but Node hands all of them
 * over at once, so that one connection could make us hold thousands of answers.
 *
 * While requests wait, their connection is not read: those of one read (64 kB) wait at most.
 */
export class Turns {
  readonly #serve: RequestListener;
  /** What waits for its turn, by the connections whose request is being served. */
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
      const none: Turn[] = [];
      this.#waiting.set(socket, none);
      this.#take(socket, none, request, response);
    }
  };

  #take(socket: Socket, waiting: Turn[], request: IncomingMessage, response: ServerResponse): void {
    response.once('close', () => this.#next(socket, waiting));
    this.#serve(request, response);
  }

  #next(socket: Socket, waiting: Turn[]): void {
    const turn = waiting.shift();
    // After an answer that closes the connection, nothing more is done for it (RFC 9112, 9.6).
    if (!turn || !socket.writable) {
      this.#waiting.delete(socket);
      return;
    }
    // The last of them may have a body that has not been read yet.
    if (waiting.length === 0) socket.resume();
    this.#take(socket, waiting, ...turn);
  }
}

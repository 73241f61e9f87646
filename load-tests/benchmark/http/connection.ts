import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** The buffer for answers. Each is parsed before the next one is read, so one buffer is enough. */
const buffer = Buffer.allocUnsafe(65_536);

/**
 * A connection with at most one request in flight. It parses only as much HTTP as it takes to find the end of an answer,
 * because client and service share two cores.
 */
export class HttpConnection {
  readonly #socket: Socket;
  #received = '';
  #answered: ((status: number) => void) | undefined;

  constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.#socket = connect({
      host: hostname,
      port: Number(port),
      noDelay: true,
      onread: { buffer, callback: (bytes) => this.#read(bytes) },
    });
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => this.#answer(0));
  }

  /** @throws the connection error */
  async open(): Promise<this> {
    await once(this.#socket, 'connect');
    return this;
  }

  get usable(): boolean {
    return !this.#socket.destroyed;
  }

  /** @param answered called with the status of the answer; 0: the connection broke before it */
  send(request: string, answered: (status: number) => void): void {
    this.#answered = answered;
    this.#socket.write(request, 'latin1');
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(bytes: number): boolean {
    const text = this.#received + buffer.toString('latin1', 0, bytes);
    const head = text.indexOf('\r\n\r\n');
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(text)?.[1] ?? 0);
    const complete = head >= 0 && text.length >= head + 4 + length;
    this.#received = complete ? '' : text;
    if (complete) this.#answer(Number(text.slice(9, 12)));
    return true;
  }

  #answer(status: number): void {
    const answered = this.#answered;
    this.#answered = undefined;
    answered?.(status);
  }
}

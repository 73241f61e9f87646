import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Where answers are read into: each is looked at before the next one is read, so one place does for all. */
const buffer = Buffer.allocUnsafe(65_536);

/**
 * One connection that has at most one request under way. No more of HTTP than it takes to tell where an answer ends:
 * on two cores, what the client costs the service does not have.
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

  /** @throws the error of connecting */
  async open(): Promise<this> {
    await once(this.#socket, 'connect');
    return this;
  }

  get usable(): boolean {
    return !this.#socket.destroyed;
  }

  /** @param answered told the status of the answer; 0: the connection broke before it came */
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

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';

/** Bytes on their way, of one connection in one direction, at most: then its sender has to wait. */
const BYTES_MAX = 16_000_000;

/** A network on this machine that takes as long as one to another place. */
export class DelayedLink {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #target = 0;
  /** From one end to the other and back, in milliseconds. */
  roundTripMs = 0;

  constructor() {
    this.#server = createServer((client) => this.#join(client));
  }

  /**
   * @param target the port that it leads to
   * @returns its own port
   */
  async listen(target: number): Promise<number> {
    this.#target = target;
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as { port: number }).port;
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket): void {
    const server = connect({ port: this.#target, host: '127.0.0.1' });
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from.setNoDelay());
      from.on('error', () => {});
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      this.#carry(from, to);
    }
  }

  /** In the order in which they were sent, also while the time changes. */
  #carry(from: Socket, to: Socket): void {
    let bytesUnderWay = 0;
    let last = Promise.resolve();
    const deliver = async (chunk: Buffer, before: Promise<void>, travelled: Promise<void>) => {
      await before;
      await travelled;
      to.write(chunk);
      bytesUnderWay -= chunk.length;
      from.resume();
    };
    from.on('data', (chunk: Buffer) => {
      const ms = this.roundTripMs / 2;
      if (ms === 0 && bytesUnderWay === 0) {
        to.write(chunk);
        return;
      }
      bytesUnderWay += chunk.length;
      if (bytesUnderWay > BYTES_MAX) from.pause();
      last = deliver(chunk, last, setTimeout(ms));
    });
  }
}

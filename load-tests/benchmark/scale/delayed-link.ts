import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setImmediate, setTimeout } from 'node:timers/promises';

/** The most bytes in flight in one direction of a connection; beyond that, the sender has to wait. */
const BYTES_MAX = 16_000_000;

/** A proxy that simulates the latency of a network. */
export class DelayedLink {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #target = 0;
  /** The round-trip time, in milliseconds. */
  roundTripMs = 0;

  constructor() {
    this.#server = createServer((client) => this.#join(client));
  }

  /**
   * Starts to listen.
   *
   * @param target the port to which it forwards
   * @returns its own port
   */
  async listen(target: number): Promise<number> {
    this.#target = target;
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as { port: number }).port;
  }

  /** Closes all connections. */
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

  /** Forwards data after the delay, in order, even if the delay changes. */
  #carry(from: Socket, to: Socket): void {
    let bytesInFlight = 0;
    let last = Promise.resolve();
    const deliver = async (chunk: Buffer, before: Promise<void>, travelled: Promise<void>) => {
      await before;
      await travelled;
      to.write(chunk);
      bytesInFlight -= chunk.length;
      from.resume();
    };
    from.on('data', (chunk: Buffer) => {
      const ms = this.roundTripMs / 2;
      if (ms === 0 && bytesInFlight === 0) {
        to.write(chunk);
        return;
      }
      bytesInFlight += chunk.length;
      if (bytesInFlight > BYTES_MAX) from.pause();
      last = deliver(chunk, last, travel(ms));
    });
  }
}

/** A timer takes up to two milliseconds longer than it was set for, so the rest is waited for without one. */
async function travel(ms: number): Promise<void> {
  const arrivesAt = performance.now() + ms;
  if (ms > 3) await setTimeout(ms - 2);
  while (performance.now() < arrivesAt) await setImmediate();
}

import { connect, createServer, type Server, type Socket } from 'node:net';

/** The two ends of a connection. */
interface Pair {
  client: Socket;
  server: Socket;
}

/** The most connections at a time. */
const CONNECTIONS_MAX = 500;

/**
 * A network between two programs, for any protocol. A cut acts like a pulled cable: connections stay open, new ones hang,
 * and nothing passes in either direction, not even FIN and RST. After the cut, the data in flight is delivered.
 */
export class Link {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #isCut = false;
  #port = 0;

  /** @param target the port of this machine to which it forwards */
  constructor(target: number) {
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) =>
      this.#join(client, target),
    );
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  get port(): number {
    return this.#port;
  }

  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject).listen(port, '127.0.0.1', resolve);
    });
    this.#port = (this.#server.address() as { port: number }).port;
  }

  cut(): void {
    this.#isCut = true;
    for (const { client, server } of this.#pairs) {
      // The system's socket buffers fill up, as they do on both ends of a broken network.
      client.unpipe(server).pause();
      server.unpipe(client).pause();
    }
  }

  heal(): void {
    this.#isCut = false;
    for (const pair of this.#pairs) this.#carry(pair);
  }

  async close(): Promise<void> {
    for (const { client, server } of this.#pairs) {
      client.destroy();
      server.destroy();
    }
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket, target: number): void {
    const server = connect({ port: target, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    const pair = { client: client.setNoDelay(), server };
    this.#pairs.add(pair);
    for (const end of [client, server]) {
      end.on('error', () => {});
      end.on('close', () => {
        if (!this.#isCut) this.#part(pair);
      });
    }
    if (!this.#isCut) this.#carry(pair);
  }

  #carry(pair: Pair): void {
    const { client, server } = pair;
    if (client.destroyed || server.destroyed) return this.#part(pair);
    client.pipe(server);
    server.pipe(client);
  }

  #part(pair: Pair): void {
    pair.client.destroy();
    pair.server.destroy();
    this.#pairs.delete(pair);
  }
}

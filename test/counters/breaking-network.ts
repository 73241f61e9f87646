import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Test } from 'tap';

/**
 * When a connection breaks:
 * - `at the locks`: the answer to the beginning of a transaction, with its locks, does not arrive;
 * - `before the commit`: a commit does not arrive at the server;
 * - `after the commit`: a commit is applied, and its answer does not arrive.
 */
export type Break = 'at the locks' | 'before the commit' | 'after the commit';

/** What the server and the client send at the moment: as they are written in the messages of the protocol. */
const SENT = { begun: 'BEGIN\0', commit: 'commit\0', committed: 'COMMIT\0' };

/** A network to the server of a database that breaks one connection whenever it is asked to. */
export class BreakingNetwork {
  readonly #server = createServer((client) => this.#link(client));
  readonly #serverPort: number;
  readonly #sockets = new Set<Socket>();
  #next: Break | undefined;

  private constructor(serverPort: number) {
    this.#serverPort = serverPort;
  }

  /** @returns the network, and the address of the database in it */
  static async to(t: Test, databaseUrl: string): Promise<{ network: BreakingNetwork; url: string }> {
    const network = new BreakingNetwork(Number(new URL(databaseUrl).port));
    await once(network.#server.listen(0, '127.0.0.1'), 'listening');
    t.teardown(() => {
      for (const socket of network.#sockets) socket.destroy();
      network.#server.close();
    });
    const { port } = network.#server.address() as AddressInfo;
    return { network, url: databaseUrl.replace(/:\d+\//, `:${port}/`) };
  }

  /** Whether the last break has not happened yet. */
  get isWaiting(): boolean {
    return this.#next !== undefined;
  }

  /** Breaks the next connection on which this happens. */
  breakNext(next: Break): void {
    this.#next = next;
  }

  #link(client: Socket): void {
    const server = connect({ port: this.#serverPort, host: '127.0.0.1', noDelay: true });
    const destroy = () => {
      client.destroy();
      server.destroy();
    };
    for (const socket of [client.setNoDelay(), server]) {
      this.#sockets.add(socket);
      socket.on('error', () => {}).on('close', destroy);
      socket.on('close', () => this.#sockets.delete(socket));
    }
    const breaksAt = (chunk: Buffer, what: Break, sent: string) => {
      if (this.#next !== what || !chunk.includes(sent)) return false;
      this.#next = undefined;
      destroy();
      return true;
    };
    client.on('data', (chunk) => {
      if (!breaksAt(chunk, 'before the commit', SENT.commit)) server.write(chunk);
    });
    server.on('data', (chunk) => {
      if (breaksAt(chunk, 'at the locks', SENT.begun)) return;
      if (!breaksAt(chunk, 'after the commit', SENT.committed)) client.write(chunk);
    });
  }
}

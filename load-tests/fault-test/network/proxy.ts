import { createServer, type Server } from 'node:net';
import { Link } from './link.ts';
import type { WriterStatement } from './statements.ts';
import { anyWrite, type Caught, type SetTrap, type Trap } from './trap.ts';

/** What happens to connections: they pass; are turned away and cut; or stay open with nothing passing. */
type Mode = 'pass' | 'refuse' | 'silent';

/** A network between the service and PostgreSQL that breaks when it is told to. */
export class Proxy {
  readonly #server: Server;
  readonly #links = new Set<Link>();
  readonly #traps: SetTrap[] = [];
  #mode: Mode = 'pass';
  #port = 0;

  /** @param serverPort where PostgreSQL listens, on this machine */
  constructor(serverPort: number) {
    this.#server = createServer({ allowHalfOpen: true }, (client) => {
      client.on('error', () => {});
      if (this.#mode === 'refuse') {
        client.destroy();
        return;
      }
      const link = new Link(client, serverPort, (statement) => this.#takeTrap(statement));
      if (this.#mode === 'silent') link.hold();
      for (const one of this.#links) if (one.closed) this.#links.delete(one);
      this.#links.add(link);
    });
  }

  get port(): number {
    return this.#port;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    this.#port = (this.#server.address() as { port: number }).port;
  }

  /** Cuts all connections, and those to come. */
  refuse(): void {
    this.#mode = 'refuse';
    this.#cutAll();
  }

  /** Half-open: connections are there and accepted, and nothing passes either way. */
  silence(): void {
    this.#mode = 'silent';
    for (const link of this.#links) link.hold();
  }

  /** Everything passes again, and what was held is delivered. */
  heal(): void {
    this.#mode = 'pass';
    this.#traps.length = 0;
    for (const link of this.#links) link.release();
  }

  /**
   * Does this to the next statement of the writer that is wanted: by default, one that writes a batch.
   *
   * @throws the signal's reason, when it is aborted before there is one
   */
  trap(trap: Trap, signal: AbortSignal, wanted = anyWrite): Promise<Caught> {
    const { promise, resolve, reject } = Promise.withResolvers<Caught>();
    const entry = { trap, wanted, caught: resolve };
    this.#traps.push(entry);
    const give = () => {
      const at = this.#traps.indexOf(entry);
      if (at >= 0) this.#traps.splice(at, 1);
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', give, { once: true });
    if (signal.aborted) give();
    return promise.finally(() => signal.removeEventListener('abort', give));
  }

  async close(): Promise<void> {
    this.#cutAll();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #takeTrap(statement: WriterStatement): SetTrap | undefined {
    const at = this.#traps.findIndex(({ wanted }) => wanted(statement));
    return at < 0 ? undefined : this.#traps.splice(at, 1)[0];
  }

  #cutAll(): void {
    for (const link of this.#links) link.destroy();
    this.#links.clear();
  }
}

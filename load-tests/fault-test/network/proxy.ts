import { createServer, type Server } from 'node:net';
import { Link } from './link.ts';
import type { WriterStatement } from './statements.ts';
import { anyCommit, type Caught, type SetTrap, type Trap } from './trap.ts';

/** Pass: forwards traffic. Refuse: closes connections. Silent: keeps connections open without traffic. */
type Mode = 'pass' | 'refuse' | 'silent';

/** A proxy between the service and PostgreSQL that simulates network faults. */
export class Proxy {
  readonly #server: Server;
  readonly #links = new Set<Link>();
  readonly #traps: SetTrap[] = [];
  #mode: Mode = 'pass';
  #port = 0;

  /** @param serverPort the port of PostgreSQL on this machine */
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

  /** Closes all connections, and refuses new ones. */
  refuse(): void {
    this.#mode = 'refuse';
    this.#cutAll();
  }

  /** Makes all connections half-open: they stay open and new ones are accepted, but no traffic passes in either direction. */
  silence(): void {
    this.#mode = 'silent';
    for (const link of this.#links) link.hold();
  }

  /** Forwards traffic again, delivers what was held, and removes all traps. */
  heal(): void {
    this.#mode = 'pass';
    this.#traps.length = 0;
    for (const link of this.#links) link.release();
  }

  /**
   * Sets a trap for the next statement of the writer that matches: by default, one that commits a batch.
   *
   * @throws the signal's reason if it is aborted before a statement matches
   */
  trap(trap: Trap, signal: AbortSignal, wanted = anyCommit): Promise<Caught> {
    const { promise, resolve, reject } = Promise.withResolvers<Caught>();
    const entry = { trap, wanted, caught: resolve };
    this.#traps.push(entry);
    const onAbort = () => {
      const at = this.#traps.indexOf(entry);
      if (at >= 0) this.#traps.splice(at, 1);
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    return promise.finally(() => signal.removeEventListener('abort', onAbort));
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

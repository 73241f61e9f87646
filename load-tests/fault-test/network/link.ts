import { connect, type Socket } from 'node:net';
import { AnswerReader } from './answer.ts';
import { Direction } from './direction.ts';
import { type Message, MessageReader } from './messages.ts';
import { StatementSpotter, type WriterStatement } from './statements.ts';
import type { SetTrap, Trap } from './trap.ts';

type TakeTrap = (statement: WriterStatement) => SetTrap | undefined;

/** One connection of the service, with the corresponding connection to the server. */
export class Link {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #toServer: Direction;
  readonly #toClient: Direction;
  readonly #reader = new MessageReader(true);
  readonly #spotter = new StatementSpotter();
  readonly #takeTrap: TakeTrap;
  #outcome = Promise.withResolvers<string>();
  readonly #abandoned = Promise.withResolvers<void>();
  #answer: AnswerReader | undefined;
  #trap: Trap | undefined;
  #does: WriterStatement['does'] = 'write';

  /** @param takeTrap called for each statement of the writer; returns the trap that is set for it, if any, only once */
  constructor(client: Socket, serverPort: number, takeTrap: TakeTrap) {
    this.#client = client.setNoDelay();
    this.#server = connect({ port: serverPort, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    this.#toServer = new Direction(this.#server);
    this.#toClient = new Direction(this.#client);
    this.#takeTrap = takeTrap;
    client.on('error', () => {}).on('data', (chunk: Buffer) => this.#fromClient(chunk));
    for (const event of ['end', 'close'] as const) {
      client.on(event, () => {
        this.#abandoned.resolve();
        this.#toServer.end();
      });
    }
    this.#server.on('error', () => {}).on('data', (chunk: Buffer) => this.#fromServer(chunk));
    this.#server.on('end', () => this.#toClient.end());
    this.#server.on('close', () => {
      this.#outcome.resolve('cut');
      this.#toClient.end();
      this.#server.end();
    });
  }

  /** Whether both connections are closed. */
  get closed(): boolean {
    return this.#client.destroyed && this.#server.destroyed;
  }

  /** Holds all traffic. Neither side is notified. */
  hold(): void {
    this.#toServer.hold();
    this.#toClient.hold();
  }

  /** Delivers everything that was held, in order, as a restored network delivers packets in flight. */
  release(): void {
    this.#trap = undefined;
    this.#toServer.release();
    this.#toClient.release();
  }

  destroy(): void {
    this.#client.destroy();
    this.#server.destroy();
  }

  #fromClient(chunk: Buffer): void {
    for (const message of this.#read(chunk)) {
      const statement = this.#spotter.spot(message);
      if (statement && !this.#trap) this.#enterTrap(statement);
      if (this.#trap === 'hold sync' && message.type === 'S') this.#toServer.hold();
      this.#toServer.write(message.bytes);
    }
  }

  #read(chunk: Buffer): Message[] {
    try {
      return this.#reader.push(chunk);
    } catch {
      this.destroy();
      return [];
    }
  }

  #enterTrap(statement: WriterStatement): void {
    const taken = this.#takeTrap(statement);
    if (!taken) return;
    this.#trap = taken.trap;
    this.#does = statement.does;
    if (taken.trap === 'cut before') this.destroy();
    else this.#answer = new AnswerReader();
    if (taken.trap === 'hold') this.#toServer.hold();
    if (taken.trap === 'hold answer' || taken.trap === 'cut after') this.#toClient.hold();
    this.#outcome = Promise.withResolvers();
    if (taken.trap === 'cut before') this.#outcome.resolve('cut');
    taken.caught({
      statement,
      clientPort: this.#server.localPort,
      abandoned: this.#abandoned.promise,
      outcome: this.#outcome.promise,
      release: () => this.release(),
      cut: () => this.destroy(),
    });
  }

  #fromServer(chunk: Buffer): void {
    this.#toClient.write(chunk);
    const outcome = this.#answer?.push(chunk);
    if (!outcome) return;
    this.#answer = undefined;
    this.#outcome.resolve(outcome);
    if (this.#trap === 'watch') this.#trap = undefined;
    if (this.#trap !== 'cut after') return;
    // Discards what was held: the service must not receive any byte of the answer.
    if (isDone(this.#does, outcome)) this.destroy();
    else this.release();
  }
}

/** Whether the statement has changed the database. Closing a number does so even if nothing was written under it. */
export const isDone = (does: WriterStatement['does'], outcome: string): boolean =>
  outcome === 'committed' || (does === 'close' && outcome === 'nothing');

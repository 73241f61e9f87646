import { connect, type Socket } from 'node:net';
import { AnswerReader } from './answer.ts';
import { Direction } from './direction.ts';
import { type Message, MessageReader } from './messages.ts';
import { StatementSpotter, type WriterStatement } from './statements.ts';
import type { SetTrap, Trap } from './trap.ts';

const NOTHING: Buffer = Buffer.alloc(0);

type TakeTrap = (statement: WriterStatement) => SetTrap | undefined;

/** One connection of the service, with the corresponding connection to the server. */
export class Link {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #toServer: Direction;
  readonly #toClient: Direction;
  readonly #fromClientReader = new MessageReader(true);
  readonly #fromServerReader = new MessageReader(false);
  readonly #spotter = new StatementSpotter();
  readonly #takeTrap: TakeTrap;
  readonly #abandoned = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();
  /** The numbers of statements that were sent, and answered; the server answers the opening message like a statement. */
  #sent = 1;
  #answered = 0;
  #trap: Trap | undefined;
  #does: WriterStatement['does'] = 'write';
  /** The number of statements before the intercepted one. */
  #before = 0;
  #reached = Promise.withResolvers<void>();
  #outcome = Promise.withResolvers<string>();
  #answer: AnswerReader | undefined;
  /** A Parse message that waits for the next message. */
  #parse = NOTHING;

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
    this.#server.on('end', () => this.#endOfServer());
    this.#server.on('close', () => {
      this.#endOfServer();
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

  #endOfServer(): void {
    this.#outcome.resolve('cut');
    this.#ended.resolve();
    this.#toClient.end();
  }

  #fromClient(chunk: Buffer): void {
    for (const message of this.#read(this.#fromClientReader, chunk)) {
      const statement = this.#spotter.spot(message);
      if (statement && !this.#trap) this.#enterTrap(statement);
      if (this.#trap === 'hold sync' && message.type === 'S') this.#toServer.hold();
      // Parse belongs to the statement of the Bind message that follows.
      if (message.type === 'P') this.#parse = message.bytes;
      else {
        this.#toServer.write(Buffer.concat([this.#parse, message.bytes]));
        this.#parse = NOTHING;
      }
      // The server answers each Query and each Sync with one ReadyForQuery.
      if (message.type === 'Q' || message.type === 'S') this.#sent += 1;
    }
  }

  #read(reader: MessageReader, chunk: Buffer): Message[] {
    try {
      return reader.push(chunk);
    } catch {
      this.destroy();
      return [];
    }
  }

  #enterTrap(statement: WriterStatement): void {
    const taken = this.#takeTrap(statement);
    if (!taken) return;
    const { trap } = taken;
    this.#trap = trap;
    this.#does = statement.does;
    this.#before = this.#sent;
    this.#answer = new AnswerReader();
    this.#reached = Promise.withResolvers();
    this.#outcome = Promise.withResolvers();
    if (['cut before', 'hold', 'silence'].includes(trap)) this.#toServer.hold();
    if (['cut before', 'cut after', 'hold answer', 'silence'].includes(trap)) this.#toClient.hold();
    this.#checkReached();
    taken.caught({
      statement,
      clientPort: this.#server.localPort,
      reached: this.#reached.promise,
      abandoned: this.#abandoned.promise,
      ended: this.#ended.promise,
      outcome: this.#outcome.promise,
      release: () => this.release(),
      cut: () => this.destroy(),
      hangUp: () => void this.#client.destroy(),
    });
  }

  /** Called when a trap is entered, and after each answer. */
  #checkReached(): void {
    if (!this.#answer || this.#answered < this.#before) return;
    this.#reached.resolve();
    if (this.#trap !== 'cut before') return;
    this.#outcome.resolve('cut');
    this.destroy();
  }

  #fromServer(chunk: Buffer): void {
    this.#toClient.write(chunk);
    for (const message of this.#read(this.#fromServerReader, chunk)) {
      if (this.#answer && this.#answered >= this.#before) this.#readAnswer(this.#answer, message);
      if (message.type !== 'Z') continue;
      this.#answered += 1;
      this.#checkReached();
    }
  }

  #readAnswer(answer: AnswerReader, message: Message): void {
    const outcome = answer.push(message);
    if (outcome === undefined) return;
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

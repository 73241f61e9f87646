import { connect, type Socket } from 'node:net';
import { Lane } from './lane.ts';
import { AnswerReader, type Message, MessageReader, WriteSpotter } from './messages.ts';

/**
 * What is to happen to the next write:
 * - `cut before`: its connection breaks before any of it reaches the server;
 * - `cut after`: it is committed, and the connection breaks before any of the answer reaches the service (one that
 *   commits nothing has its answer);
 * - `hold`: it does not reach the server before `release`;
 * - `hold sync`: all of it but its end reaches the server, which has then run and not committed it;
 * - `hold answer`: it is committed, and no answer reaches the service before `release`.
 */
export type WriteTrap = 'cut before' | 'cut after' | 'hold' | 'hold sync' | 'hold answer';

/** A write that went into a trap. */
export interface Caught {
  /** When the service has given the connection up. */
  abandoned: Promise<void>;
  /** What the server said, as `AnswerReader` has it; `cut`: it never got there, or said nothing. */
  outcome: Promise<string>;
  /** Lets what was held go on, however late. */
  release: () => void;
}

/** A trap that is set, and who is told what went into it. */
export interface SetWriteTrap {
  trap: WriteTrap;
  caught: (what: Caught) => void;
}

type TakeTrap = () => SetWriteTrap | undefined;

/** One connection of the service, and the one to the server that belongs to it. */
export class Link {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #toServer: Lane;
  readonly #toClient: Lane;
  readonly #reader = new MessageReader(true);
  readonly #spotter = new WriteSpotter();
  readonly #takeTrap: TakeTrap;
  #outcome = Promise.withResolvers<string>();
  readonly #abandoned = Promise.withResolvers<void>();
  #answer: AnswerReader | undefined;
  #trap: WriteTrap | undefined;

  /** @param takeTrap asked at each write; whoever is given a trap has it alone */
  constructor(client: Socket, serverPort: number, takeTrap: TakeTrap) {
    this.#client = client.setNoDelay();
    this.#server = connect({ port: serverPort, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    this.#toServer = new Lane(this.#server);
    this.#toClient = new Lane(this.#client);
    this.#takeTrap = takeTrap;
    client.on('error', () => {}).on('data', (chunk: Buffer) => this.#fromClient(chunk));
    for (const over of ['end', 'close'] as const) {
      client.on(over, () => {
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

  /** Whether both ends are gone. */
  get closed(): boolean {
    return this.#client.destroyed && this.#server.destroyed;
  }

  /** From now on nothing passes, and neither side learns that. */
  hold(): void {
    this.#toServer.hold();
    this.#toClient.hold();
  }

  /** What was held goes on, in its order: a network that is back delivers what is in it, however late. */
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
      if (this.#spotter.begins(message) && !this.#trap) this.#enterTrap();
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

  #enterTrap(): void {
    const taken = this.#takeTrap();
    if (!taken) return;
    this.#trap = taken.trap;
    if (taken.trap === 'cut before') this.destroy();
    else this.#answer = new AnswerReader();
    if (taken.trap === 'hold') this.#toServer.hold();
    if (taken.trap === 'hold answer' || taken.trap === 'cut after') this.#toClient.hold();
    this.#outcome = Promise.withResolvers();
    taken.caught({
      abandoned: this.#abandoned.promise,
      outcome: this.#outcome.promise,
      release: () => this.release(),
    });
  }

  #fromServer(chunk: Buffer): void {
    this.#toClient.write(chunk);
    const outcome = this.#answer?.push(chunk);
    if (!outcome) return;
    this.#answer = undefined;
    this.#outcome.resolve(outcome);
    if (this.#trap !== 'cut after') return;
    // What was held is dropped: not a byte of the answer may pass.
    if (outcome === 'committed') this.destroy();
    else this.release();
  }
}

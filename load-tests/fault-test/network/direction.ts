import type { Socket } from 'node:net';

/** The most bytes to hold for one direction. */
const HELD_BYTES_MAX = 32 * 2 ** 20;

/**
 * One direction of a connection. It can be held; on release, it delivers everything that was held, including the end of
 * the stream.
 */
export class Direction {
  readonly #to: Socket;
  #held: Buffer[] | undefined;
  #heldBytes = 0;
  #ended = false;

  constructor(to: Socket) {
    this.#to = to;
  }

  hold(): void {
    this.#held ??= [];
  }

  write(bytes: Buffer): void {
    if (!this.#held) return void this.#to.write(bytes);
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > HELD_BYTES_MAX) this.#to.destroy();
    else this.#held.push(Buffer.from(bytes));
  }

  end(): void {
    this.#ended = true;
    if (!this.#held) this.#to.end();
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    this.#heldBytes = 0;
    for (const bytes of held) this.#to.write(bytes);
    if (this.#ended) this.#to.end();
  }
}

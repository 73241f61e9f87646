import type { Socket } from 'node:net';

/** What one connection may hold back at most, in bytes. */
const HELD_BYTES_MAX = 32 * 2 ** 20;

/** One direction of a connection: it can be held up, and then carries on with everything, its end included. */
export class Lane {
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

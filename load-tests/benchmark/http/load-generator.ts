import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Load, Seen } from './load.ts';

/** The load generator's process. */
export class LoadGenerator {
  readonly #child: ChildProcess = fork(join(import.meta.dirname, 'generator.ts'));
  readonly #ended: Promise<never>;

  constructor() {
    this.#ended = once(this.#child, 'exit').then(([code]) => {
      throw new Error(`the load generator ended with ${String(code)}`);
    });
    this.#ended.catch(() => {});
  }

  /**
   * @returns the generator's figures, after the last answer
   * @throws {Error} when the service is unreachable, or the generator has ended
   */
  async offer(load: Load): Promise<Seen> {
    const answer = once(this.#child, 'message') as Promise<[{ seen?: Seen; error?: string }]>;
    this.#child.send(load);
    const [{ seen, error }] = await Promise.race([answer, this.#ended]);
    if (!seen) throw new Error(`the load generator: ${error}`);
    return seen;
  }

  async stop(): Promise<void> {
    this.#child.kill();
    await this.#ended.catch(() => {});
  }
}

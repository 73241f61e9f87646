import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Load, Seen } from './load.ts';

/** The load generator's process. */
export class LoadGenerator<Offered extends object = Load> {
  readonly #child: ChildProcess;
  readonly #ended: Promise<never>;

  /** @param program the program of the process: it receives loads, and answers each with its figures or an error */
  constructor(program = join(import.meta.dirname, 'generator.ts'), args: string[] = []) {
    this.#child = fork(program, args);
    this.#ended = once(this.#child, 'exit').then(([code]) => {
      throw new Error(`the load generator ended with exit code ${String(code)}`);
    });
    this.#ended.catch(() => {});
  }

  /**
   * @returns the generator's figures, after the last answer
   * @throws {Error} when the service is unreachable, or the generator has ended
   */
  async offer(load: Offered): Promise<Seen> {
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

import type { FastifyBaseLogger } from 'fastify';
import { messageOf } from '../errors/caught.ts';
import type { ProblemCode } from '../errors/problem.ts';

/** How often refusals are logged, in milliseconds. */
const LOG_MS = 1000;

interface Refusals {
  count: number;
  /** Why the first of them was refused. */
  reason: string;
}

/**
 * Logs refused requests (503, 504) once a second, with how many there were: under overload there are thousands a
 * second, and a line with a stack for each would cost more than serving it.
 */
export class RefusalLog {
  readonly #log: FastifyBaseLogger;
  readonly #refusals = new Map<ProblemCode, Refusals>();

  constructor(log: FastifyBaseLogger) {
    this.#log = log;
  }

  /** @param error why, if it was thrown */
  add(code: ProblemCode, error?: unknown): void {
    const known = this.#refusals.get(code);
    if (known) known.count += 1;
    else {
      if (this.#refusals.size === 0) setTimeout(() => this.#write(), LOG_MS).unref();
      this.#refusals.set(code, { count: 1, reason: error === undefined ? code : causeOf(error) });
    }
  }

  #write(): void {
    for (const [code, { count, reason }] of this.#refusals)
      this.#log.warn({ code, count, reason }, `${count} requests refused within ${LOG_MS} ms`);
    this.#refusals.clear();
  }
}

/** The message, and that of what is behind it. */
function causeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause === undefined ? messageOf(error) : `${messageOf(error)}: ${messageOf(cause)}`;
}

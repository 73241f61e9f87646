import type { FastifyBaseLogger } from 'fastify';
import { messageOf } from '../errors/caught.ts';
import type { ProblemCode } from '../errors/problem.ts';

/** How often refusals are logged, in milliseconds. */
const LOG_MS = 1000;

interface Refusals {
  code: ProblemCode;
  caller: string | undefined;
  count: number;
  /** Why the first of them was refused. */
  reason: string;
}

/**
 * Logs refused requests (503 and 504, and what a token may not do) once a second, with how many there were: under
 * overload there are thousands a second, and a line with a stack for each would cost more than serving it.
 */
export class RefusalLog {
  readonly #log: FastifyBaseLogger;
  readonly #refusals = new Map<string, Refusals>();

  constructor(log: FastifyBaseLogger) {
    this.#log = log;
  }

  /**
   * @param reason what was thrown, or says why
   * @param caller the name of its token: there are as many lines as tokens at most
   */
  add(code: ProblemCode, reason: unknown = code, caller?: string): void {
    const key = `${code} ${caller}`;
    const known = this.#refusals.get(key);
    if (known) known.count += 1;
    else {
      if (this.#refusals.size === 0) setTimeout(() => this.#write(), LOG_MS).unref();
      this.#refusals.set(key, { code, caller, count: 1, reason: causeOf(reason) });
    }
  }

  #write(): void {
    for (const { code, caller, count, reason } of this.#refusals.values())
      this.#log.warn({ code, caller, count, reason }, `${count} requests refused within ${LOG_MS} ms`);
    this.#refusals.clear();
  }
}

/** The message, and that of what is behind it. */
function causeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause === undefined ? messageOf(error) : `${messageOf(error)}: ${messageOf(cause)}`;
}

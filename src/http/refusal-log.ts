import type { FastifyBaseLogger } from 'fastify';
import { messageOf } from '../errors/caught.ts';
import type { ProblemCode } from '../errors/problem.ts';

/** How often refusals are logged, in milliseconds. */
const LOG_MS = 1000;

interface Refusals {
  code: ProblemCode;
  caller: string | undefined;
  count: number;
  /** Why the first one was refused. */
  reason: string;
}

/**
 * Logs requests that are refused (503, or because of a token) or have an unknown outcome (504) once a second, with their
 * number. Under overload there are thousands a second, and logging each one with a stack would cost more than serving it.
 */
export class RefusalLog {
  readonly #log: FastifyBaseLogger;
  readonly #refusals = new Map<string, Refusals>();

  constructor(log: FastifyBaseLogger) {
    this.#log = log;
  }

  /**
   * @param reason the error, or the reason as text
   * @param caller the name of the caller's token; the number of lines is bounded by the number of tokens
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
    for (const { code, caller, count, reason } of this.#refusals.values()) {
      const requests = count === 1 ? '1 request' : `${count} requests`;
      this.#log.warn(
        { code, caller, count, reason },
        `${requests} answered with ${code} within ${LOG_MS} ms`,
      );
    }
    this.#refusals.clear();
  }
}

/** The message, and that of the cause. */
function causeOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause === undefined ? messageOf(error) : `${messageOf(error)}: ${messageOf(cause)}`;
}

import { Counter, type Registry } from 'prom-client';
import type { ProblemCode } from '../errors/problem.ts';
import type { Caller } from './request-caller.ts';

/** What each token is used for, for Prometheus: there are as many series as tokens, and problems of theirs. */
export class CallerMetrics {
  readonly #increments;
  readonly #refusals;

  constructor(register: Registry) {
    const registers = [register];
    this.#increments = new Counter({
      name: 'safe_counters_token_increments_total',
      help: 'Increments that were admitted, by the name of the token; another change is one',
      labelNames: ['token'],
      registers,
    });
    this.#refusals = new Counter({
      name: 'safe_counters_token_refusals_total',
      help: 'Requests that were refused because of what the token may do, by its name and the code of the problem',
      labelNames: ['token', 'code'],
      registers,
    });
  }

  admitted({ name }: Caller, increments: number): void {
    this.#increments.inc({ token: name }, increments);
  }

  refused({ name }: Caller, code: ProblemCode): void {
    this.#refusals.inc({ token: name, code });
  }
}

import { Counter, type Registry } from 'prom-client';
import type { ProblemCode } from '../errors/problem.ts';
import type { Caller } from './request-caller.ts';

/** The use of each token, for Prometheus. The number of series is bounded by the tokens and the problem codes. */
export class CallerMetrics {
  readonly #increments;
  readonly #refusals;

  constructor(register: Registry) {
    const registers = [register];
    this.#increments = new Counter({
      name: 'safe_counters_token_increments_total',
      help: 'Admitted increments, by the name of the token; any other change counts as one',
      labelNames: ['token'],
      registers,
    });
    this.#refusals = new Counter({
      name: 'safe_counters_token_refusals_total',
      help: 'Requests refused because of the prefix or quota of their token, by its name and the problem code',
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

import { VALUE_MAX } from '../../src/counters/counter.ts';
import type { Increment, IncrementRequest } from '../../src/counters/request.ts';

export interface Bounded {
  value: number;
  min: number | null;
  max: number | null;
}

/** The values of a request, or its refusal. */
export type ModelOutcome = number[] | string;

/** Models the outcomes of requests that are written one after another. The SQL of a batch must have the same outcomes. */
export class BoundsModel {
  readonly counters = new Map<string, Bounded>();
  readonly #keys = new Map<string, { request: string; outcome: number[] }>();

  submit(request: IncrementRequest): ModelOutcome {
    const { key, increments, partial } = request;
    const body = JSON.stringify({ increments, partial: partial ?? false });
    const known = key === undefined ? undefined : this.#keys.get(key);
    if (known) return known.request === body ? known.outcome : 'key_reused';
    const outcome = partial ? this.#part(increments[0] ?? { name: '', by: 0 }) : this.#whole(increments);
    if (key !== undefined && Array.isArray(outcome)) this.#keys.set(key, { request: body, outcome });
    return outcome;
  }

  #of(name: string): Bounded {
    return this.counters.get(name) ?? { value: 0, min: null, max: null };
  }

  #whole(increments: IncrementRequest['increments']): ModelOutcome {
    const after = new Map<string, Bounded>();
    const values: number[] = [];
    for (const { name, by } of increments) {
      const counter = after.get(name) ?? this.#of(name);
      const value = counter.value + by;
      after.set(name, { ...counter, value });
      values.push(value);
    }
    const ownFirst = increments.findIndex(({ min, max }, i) => {
      const value = values[i] ?? Number.NaN;
      return value < (min ?? -Infinity) || value > (max ?? Infinity);
    });
    const first = [...after.keys()].find((name) => {
      const { min, max } = this.#of(name);
      return values.some(
        (value, i) =>
          increments[i]?.name === name && (value < (min ?? -VALUE_MAX) || value > (max ?? VALUE_MAX)),
      );
    });
    if (first !== undefined) return `out_of_bounds: ${first} is ${this.#of(first).value}`;
    const own = increments[ownFirst];
    if (own) return `out_of_bounds: ${own.name} is ${(values[ownFirst] ?? 0) - own.by}`;
    for (const [name, counter] of after) this.counters.set(name, counter);
    return values;
  }

  #part({ name, by, min, max }: Increment): ModelOutcome {
    const counter = this.#of(name);
    const highest = Math.min(counter.max ?? VALUE_MAX, max ?? VALUE_MAX);
    const lowest = Math.max(counter.min ?? -VALUE_MAX, min ?? -VALUE_MAX);
    // A value that is beyond a bound of the increment already is left as it is.
    const added =
      by > 0
        ? Math.max(0, Math.min(highest - counter.value, by))
        : Math.min(0, Math.max(lowest - counter.value, by));
    const reached = counter.value + added;
    const taken = reached < (min ?? -Infinity) || reached > (max ?? Infinity) ? 0 : added;
    this.counters.set(name, { ...counter, value: counter.value + taken });
    return [counter.value + taken, taken];
  }
}

import { Problem } from '../errors/problem.ts';
import { type IncrementRequest, weightOf } from './batch.ts';
import { VALUE_MAX } from './counter.ts';

/** @throws {Problem} `out_of_range` when a number of a body is none that a counter can hold */
export function assertValue(field: string, value: number): void {
  if (Number.isSafeInteger(value)) return;
  throw new Problem(
    'out_of_range',
    `${field} is ${value}; allowed: whole numbers from -${VALUE_MAX} to ${VALUE_MAX}`,
  );
}

/** @throws {Problem} `out_of_range` when the sums of this request alone could not be kept exactly */
export function assertExact(request: IncrementRequest): void {
  if (weightOf(request) <= VALUE_MAX) return;
  throw new Problem('out_of_range', `the amounts of one request may add up to ${VALUE_MAX}`);
}

/** Parts, in their order, whose sums are exact: nearly always one. */
export function exactParts(requests: readonly IncrementRequest[]): IncrementRequest[][] {
  const parts: IncrementRequest[][] = [];
  let left = -1;
  for (const request of requests) {
    const weight = weightOf(request);
    left -= weight;
    if (left < 0) {
      parts.push([]);
      left = VALUE_MAX - weight;
    }
    parts.at(-1)?.push(request);
  }
  return parts;
}

/** Applies the request to `values`, if all of it stays in range. @returns whether it did */
export function fits({ increments }: IncrementRequest, values: Map<string, number>): boolean {
  const next = new Map<string, number>();
  for (const { name, by } of increments) {
    const value = (next.get(name) ?? values.get(name) ?? 0) + by;
    if (Math.abs(value) > VALUE_MAX) return false;
    next.set(name, value);
  }
  for (const [name, value] of next) values.set(name, value);
  return true;
}

/** What to tell a request that does not fit. */
export function outOfRange({ increments }: IncrementRequest): Problem {
  const names = [...new Set(increments.map(({ name }) => JSON.stringify(name)))].slice(0, 3).join(', ');
  return new Problem('out_of_range', `${names} would leave the range from -${VALUE_MAX} to ${VALUE_MAX}`);
}

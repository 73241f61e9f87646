import { Problem } from '../errors/problem.ts';
import { VALUE_MAX } from './counter.ts';
import type { IncrementRequest } from './request.ts';

/** @throws {Problem} `out_of_range` when a number of a body is not one that a counter can hold */
export function assertValue(field: string, value: number): void {
  if (Number.isSafeInteger(value)) return;
  throw new Problem(
    'out_of_range',
    `${field} is ${value}; allowed: whole numbers from -${VALUE_MAX} to ${VALUE_MAX}`,
  );
}

/** Applies the request to `values`, if all of it stays in range. @returns whether it did */
export function fits({ increments }: IncrementRequest, values: Map<string, number>): boolean {
  const next = new Map<string, number>();
  for (const { name, by } of increments) {
    // Of two safe integers, so whether the sum is one is never in doubt.
    const value = (next.get(name) ?? values.get(name) ?? 0) + by;
    if (!Number.isSafeInteger(value)) return false;
    next.set(name, value);
  }
  for (const [name, value] of next) values.set(name, value);
  return true;
}

/** The error of a request that does not fit. */
export function outOfRange({ increments }: IncrementRequest): Problem {
  const names = [...new Set(increments.map(({ name }) => JSON.stringify(name)))].slice(0, 3).join(', ');
  return new Problem(
    'out_of_range',
    `${names} would leave the range from -${VALUE_MAX} to ${VALUE_MAX}, or be changed by more than that at once`,
  );
}

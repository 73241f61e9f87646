import { Problem } from '../errors/problem.ts';
import { VALUE_MAX } from './counter.ts';

/** A value in a message; JSON does not have all of them. */
export const shown = (value: unknown): string =>
  typeof value === 'string' ? JSON.stringify(value) : String(value);

/** @throws {Problem} `out_of_range` when a counter cannot hold the number */
export function assertValue(field: string, value: number): void {
  if (Number.isSafeInteger(value)) return;
  if (typeof value !== 'number')
    throw new Problem('invalid_request', `${field} is ${shown(value)}; allowed: a number`);
  throw new Problem(
    'out_of_range',
    `${field} is ${value}; allowed: whole numbers from -${VALUE_MAX} to ${VALUE_MAX}`,
  );
}

import { Type } from 'typebox';
import { Problem, type ProblemCode } from '../errors/problem.ts';
import { DATABASE_WRITE } from '../http/problem-answers.ts';

/** The maximum number of increments of one race, over all its workers: far fewer than it can complete in its time. */
const TOTAL_MAX = 10_000;

/** The problems of a route that runs races. */
export const RACE = [
  ...DATABASE_WRITE,
  'not_found',
  'queue_full',
  'retries_exhausted',
  'out_of_time',
] as const satisfies readonly ProblemCode[];

export const workersField = (by: number) =>
  Type.Integer({
    minimum: 1,
    maximum: 64,
    default: by,
    description: 'The number of concurrent workers, each with its own session and backend',
  });

export const incrementsField = (by: number) =>
  Type.Integer({
    minimum: 1,
    maximum: 1000,
    default: by,
    description: `The number of increments of each worker; at most ${TOTAL_MAX} over all workers`,
  });

/**
 * @returns the total number of increments
 * @throws {Problem} when it exceeds the limit
 */
export function totalOf({ workers, increments }: { workers: number; increments: number }): number {
  const total = workers * increments;
  if (total <= TOTAL_MAX) return total;
  throw new Problem('invalid_request', `workers × increments is ${total}; allowed: up to ${TOTAL_MAX}`);
}

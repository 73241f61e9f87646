import { Type } from 'typebox';
import { Problem, type ProblemCode } from '../errors/problem.ts';
import { DATABASE_WRITE } from '../http/problem-answers.ts';

/** Increments of one race at most, over all its workers: what it can finish in its time, with room to spare. */
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
    description: 'How many workers contend, each with a session and a backend of its own',
  });

export const incrementsField = (by: number) =>
  Type.Integer({
    minimum: 1,
    maximum: 1000,
    default: by,
    description: `How many increments each worker does; ${TOTAL_MAX} in all at most`,
  });

/**
 * @returns the increments in all
 * @throws {Problem} when they are too many
 */
export function totalOf({ workers, increments }: { workers: number; increments: number }): number {
  const total = workers * increments;
  if (total <= TOTAL_MAX) return total;
  throw new Problem('invalid_request', `workers × increments is ${total}; allowed: up to ${TOTAL_MAX}`);
}

import { Type } from 'typebox';
import type { Endpoint } from './endpoints.ts';

export const WORKERS_MAX = 64;
export const INCREMENTS_MAX = 1000;
/** Increments of one call at most, over all its workers: what it can finish in its time, with room to spare. */
export const TOTAL_MAX = 10_000;

const count = (description: string) => Type.Integer({ description });

/** A post as an answer shows it. */
const postFields = {
  like_result: count('The likes now'),
  version: count('How often the row was written, and 1'),
  modified_at: Type.String({ format: 'date-time' }),
};

export const postAnswer = (message: string) =>
  Type.Object(
    { message: Type.String(), ...postFields },
    {
      description: 'The post',
      examples: [{ message, like_result: 0, version: 7, modified_at: '2026-11-21T09:00:00.000Z' }],
    },
  );

export const incrementQuery = ({ workers, increments }: Endpoint) =>
  Type.Object(
    {
      workers: Type.Integer({
        minimum: 1,
        maximum: WORKERS_MAX,
        default: workers,
        description: 'How many workers contend, each with a session and a backend of its own',
      }),
      increments: Type.Integer({
        minimum: 1,
        maximum: INCREMENTS_MAX,
        default: increments,
        description: `How many increments each worker does; ${TOTAL_MAX} in all at most`,
      }),
    },
    { additionalProperties: false },
  );

export const incrementAnswer = (message: string) =>
  Type.Object(
    {
      message: Type.String(),
      ...postFields,
      like_before: count('The likes before'),
      version_before: count('The version before'),
      attempted: count('Increments that were asked for'),
      acknowledged: count('Increments that were reported as done'),
      expected: count('like_before + acknowledged'),
      lost: count(
        'Acknowledged increments that are missing from the count, if nobody else adds, resets or overwrites',
      ),
      conflicts: count('Attempts that somebody else was faster than'),
      retries: count('Attempts after a conflict'),
      duration_ms: Type.Number({ description: 'From the first increment to the last' }),
      workers: Type.Array(
        Type.Object({
          worker: Type.Integer(),
          backend_pid: count('The process that served it, as pg_stat_activity names it'),
          acknowledged: Type.Integer(),
          conflicts: Type.Integer(),
        }),
      ),
    },
    {
      description: 'What was asked for, what was acknowledged, and what the count says',
      examples: [
        {
          message,
          like_result: 50,
          version: 51,
          modified_at: '2026-11-21T09:00:00.000Z',
          like_before: 0,
          version_before: 1,
          attempted: 50,
          acknowledged: 50,
          expected: 50,
          lost: 0,
          conflicts: 0,
          retries: 0,
          duration_ms: 61.4,
          workers: [
            { worker: 1, backend_pid: 4242, acknowledged: 25, conflicts: 0 },
            { worker: 2, backend_pid: 4243, acknowledged: 25, conflicts: 0 },
          ],
        },
      ],
    },
  );

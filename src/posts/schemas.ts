import { Type } from 'typebox';
import { incrementsField, workersField } from '../races/limits.ts';
import type { Endpoint } from './endpoints.ts';

const count = (description: string) => Type.Integer({ description });

/** A post as an answer shows it. */
const postFields = {
  like_result: count('The likes now'),
  version: count('How often the row was written, and 1'),
  modified_at: Type.String({ format: 'date-time' }),
};

const postAnswer = (message: string) =>
  Type.Object(
    { message: Type.String(), ...postFields },
    {
      description: 'The post',
      examples: [{ message, like_result: 0, version: 7, modified_at: '2026-11-21T09:00:00.000Z' }],
    },
  );

const incrementQuery = ({ workers, increments }: Endpoint) =>
  Type.Object(
    { workers: workersField(workers), increments: incrementsField(increments) },
    { additionalProperties: false },
  );

const incrementAnswer = (message: string) =>
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
        'Acknowledged increments that are missing from the count, if no other caller adds, resets or overwrites',
      ),
      conflicts: count('Attempts that met a conflict'),
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

const tags = ['The seed’s endpoints'];

export const plainSchema = ({ message, summary }: Pick<Endpoint, 'message' | 'summary'>) => ({
  tags,
  summary,
  response: { 200: postAnswer(message) },
});

export const endpointSchema = (endpoint: Endpoint) => ({
  tags,
  summary: endpoint.summary,
  querystring: incrementQuery(endpoint),
  response: { 200: incrementAnswer(endpoint.message) },
});

import { Type } from 'typebox';
import { incrementsField, workersField } from '../races/limits.ts';
import type { Endpoint } from './endpoints.ts';

const count = (description: string) => Type.Integer({ description });

/** The fields of a post in an answer. */
const postFields = {
  like_result: count('The number of likes after the call'),
  version: count('The version of the row; every write raises it by 1'),
  modified_at: Type.String({ format: 'date-time', description: 'The time of the last write' }),
};

const postAnswer = (message: string) =>
  Type.Object(
    { message: Type.String({ description: 'What was done' }), ...postFields },
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
      message: Type.String({ description: 'What was done' }),
      ...postFields,
      like_before: count('The likes before the call'),
      version_before: count('The version before the call'),
      attempted: count('Increments that were requested'),
      acknowledged: count('Increments that were acknowledged'),
      expected: count('The likes that there should be: like_before + acknowledged'),
      lost: count(
        'Acknowledged increments that are missing from the count; accurate if no other caller writes during the call',
      ),
      conflicts: count('Attempts that met a conflict'),
      retries: count('Attempts after a conflict'),
      duration_ms: Type.Number({
        description:
          'The time from the start of the first increment to the end of the last one, in milliseconds',
      }),
      workers: Type.Array(
        Type.Object({
          worker: count('The number of the worker, from 1'),
          backend_pid: count('The process id of the backend of its session, as in pg_stat_activity'),
          acknowledged: count('Increments of this worker that were acknowledged'),
          conflicts: count('Attempts of this worker that met a conflict'),
        }),
        { description: 'The workers' },
      ),
    },
    {
      description: 'The requested, the acknowledged and the counted increments',
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

const tags = ['Likes of post 1'];

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

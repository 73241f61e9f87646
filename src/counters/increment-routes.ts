import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DATABASE_READ } from '../http/problem-answers.ts';
import { isClosed } from '../http/signals.ts';
import { allowNoBody, noQuery } from '../http/validation.ts';
import { refuseWhenFull } from './refusal.ts';
import { type Increment, incrementOf, keyOf } from './request.ts';
import {
  bulkAnswer,
  bulkBody,
  counterParams,
  incrementAnswer,
  incrementBody,
  incrementHeaders,
} from './schemas.ts';
import type { CounterWriter } from './writer.ts';

/** The problems of an increment. `conflict` is not among them, since a conflict is retried. */
const INCREMENT = [
  ...DATABASE_READ,
  'read_only',
  'disk_full',
  'outcome_unknown',
  'queue_full',
  'retries_exhausted',
  'out_of_range',
  'out_of_bounds',
  'key_reused',
] as const;

/** Routes that add to one counter, or to many at once. */
export const incrementRoutes: FastifyPluginAsyncTypebox<{ writer: CounterWriter }> = async (
  app,
  { writer },
) => {
  const tags = ['Counters'];
  const headers = incrementHeaders;
  const onRequest = refuseWhenFull(app, writer);

  app.post('/counters/:name/increments', {
    config: { problems: INCREMENT },
    schema: {
      tags,
      summary: 'Increment a counter',
      params: counterParams,
      querystring: noQuery,
      headers,
      body: incrementBody,
      response: { 200: incrementAnswer },
    },
    onRequest,
    preValidation: allowNoBody,
    handler: async (request, reply) => {
      const { name } = request.params;
      const { partial = false, ...item } = request.body;
      const increments = [incrementOf({ name, ...item })];
      const [value = Number.NaN, added] = await write(writer, request, reply, increments, partial);
      return added === undefined ? { name, value } : { name, value, added };
    },
  });

  app.post('/increments', {
    config: { problems: INCREMENT },
    schema: {
      tags,
      summary: 'Send up to 1,000 increments, all or nothing',
      querystring: noQuery,
      headers,
      body: bulkBody,
      response: { 200: bulkAnswer },
    },
    onRequest,
    handler: async (request, reply) => {
      const increments = request.body.map(incrementOf);
      const values = await write(writer, request, reply, increments);
      return increments.map(({ name }, i) => ({ name, value: values[i] ?? Number.NaN }));
    },
  });
};

/** @returns the value after each increment; for a partial one, the amount that was added follows */
async function write(
  writer: CounterWriter,
  { headers, caller }: FastifyRequest,
  reply: FastifyReply,
  increments: readonly Increment[],
  partial = false,
): Promise<number[]> {
  const { values, replayed } = await writer.submit({
    increments,
    partial,
    key: keyOf(headers, caller),
    // Checked when the batch begins: a request whose client has disconnected by then is not counted.
    abandoned: () => isClosed(reply),
  });
  if (replayed) reply.header('idempotency-replayed', 'true');
  return values;
}

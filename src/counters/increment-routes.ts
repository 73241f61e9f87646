import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { allowNoBody } from '../http/validation.ts';
import type { Increment } from './batch.ts';
import { keyOf } from './idempotency.ts';
import { assertValue } from './range.ts';
import { refuseWhenFull } from './refusal.ts';
import {
  bulkAnswer,
  bulkBody,
  counterAnswer,
  counterParams,
  incrementBody,
  incrementHeaders,
  noQuery,
} from './schemas.ts';
import type { Answer, CounterWriter } from './writer.ts';

/** Adding to counters: one of them, or many at once. */
export const incrementRoutes: FastifyPluginAsyncTypebox<{ writer: CounterWriter }> = async (
  app,
  { writer },
) => {
  const tags = ['Counters'];
  const headers = incrementHeaders;
  const onRequest = refuseWhenFull(app, writer);
  const write = (request: FastifyRequest, reply: FastifyReply, increments: readonly Increment[]) => {
    for (const { by } of increments) assertValue('by', by);
    return writer.submit({
      increments,
      key: keyOf(request.headers),
      // Asked for when the batch begins: who has hung up by then is not counted.
      abandoned: () => reply.raw.destroyed,
    });
  };

  app.post('/counters/:name/increments', {
    schema: {
      tags,
      summary: 'Adds to a counter, creating it if need be; answered after the commit',
      params: counterParams,
      querystring: noQuery,
      headers,
      body: incrementBody,
      response: { 200: counterAnswer('What the increment wrote') },
    },
    onRequest,
    preValidation: allowNoBody,
    handler: async (request, reply) => {
      const { name } = request.params;
      const answer = await write(request, reply, [{ name, by: request.body.by ?? 1 }]);
      tellReplayed(reply, answer);
      return { name, value: answer.values[0] ?? Number.NaN };
    },
  });

  app.post('/increments', {
    schema: {
      tags,
      summary: 'Adds to up to 1,000 counters at once, all or nothing',
      querystring: noQuery,
      headers,
      body: bulkBody,
      response: { 200: bulkAnswer },
    },
    onRequest,
    handler: async (request, reply) => {
      const increments = request.body.map(({ name, by = 1 }) => ({ name, by }));
      const answer = await write(request, reply, increments);
      tellReplayed(reply, answer);
      return increments.map(({ name }, i) => ({ name, value: answer.values[i] ?? Number.NaN }));
    },
  });
};

function tellReplayed(reply: FastifyReply, { replayed }: Answer): void {
  if (replayed) reply.header('idempotency-replayed', 'true');
}

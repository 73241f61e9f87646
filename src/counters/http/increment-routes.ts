import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { DATABASE_READ } from '../../http/problem-answers.ts';
import { allowNoBody, noQuery } from '../../http/validation.ts';
import type { Counters } from '../counters.ts';
import { refuseWhenFull } from './refusal.ts';
import {
  bulkAnswer,
  bulkBody,
  counterParams,
  incrementAnswer,
  incrementBody,
  incrementHeaders,
} from './schemas.ts';
import { keyOf, senderOf } from './sender.ts';

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
export const incrementRoutes: FastifyPluginAsyncTypebox<{ counters: Counters }> = async (
  app,
  { counters },
) => {
  const tags = ['Counters'];
  const headers = incrementHeaders;
  const onRequest = refuseWhenFull(app, counters);

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
      const { partial, ...item } = request.body;
      const options = { ...item, partial: partial ?? false, key: keyOf(request) };
      const { value, added, replayed } = await counters.increment(name, options, senderOf(request, reply));
      if (replayed) reply.header('idempotency-replayed', 'true');
      return partial ? { name, value, added } : { name, value };
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
      const { body } = request;
      const options = { key: keyOf(request) };
      const { values, replayed } = await counters.incrementAll(body, options, senderOf(request, reply));
      if (replayed) reply.header('idempotency-replayed', 'true');
      return body.map(({ name }, i) => ({ name, value: values[i] as number }));
    },
  });
};

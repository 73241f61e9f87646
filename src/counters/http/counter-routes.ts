import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { type Static, Type } from 'typebox';
import { Problem } from '../../errors/problem.ts';
import { DATABASE_READ, DATABASE_WRITE } from '../../http/problem-answers.ts';
import { sendEvents } from '../../http/sse.ts';
import { noQuery } from '../../http/validation.ts';
import type { CounterState } from '../counter.ts';
import { etagOf, isUnchanged, preconditionOf } from './preconditions.ts';
import {
  changeHeaders,
  counterAnswer,
  counterParams,
  eventsAnswer,
  listAnswer,
  listQuery,
  putAnswer,
  putBody,
  putHeaders,
  readHeaders,
  windowAnswer,
  windowParams,
  windowQuery,
} from './schemas.ts';
import type { Counters } from '../counters.ts';
import { keyOf, senderOf } from './sender.ts';

export interface CounterRoutesOptions {
  counters: Counters;
}

const tags = ['Counters'];
const params = counterParams;
const querystring = noQuery;

/** Routes that read, list, watch, set and delete counters. */
export const counterRoutes: FastifyPluginAsyncTypebox<CounterRoutesOptions> = async (app, options) => {
  await app.register(readRoutes, options);
  await app.register(changeRoutes, options);
};

/** Routes that read, list and watch counters. */
const readRoutes: FastifyPluginAsyncTypebox<CounterRoutesOptions> = async (app, { counters }) => {
  app.get('/counters/:name', {
    config: { problems: [...DATABASE_READ, 'not_found'] },
    schema: {
      tags,
      summary: 'Read a counter',
      description:
        'Reads from the primary: the value includes every increment that was acknowledged before the request. It may also include an increment that is not acknowledged yet and that a failover can undo.',
      params,
      querystring,
      headers: readHeaders,
      response: {
        200: counterAnswer(
          'The counter. Its ETag is its value, with its bounds and its expiry if it has any',
        ),
        304: notModified,
      },
    },
    handler: async ({ params: { name }, headers }, reply) => {
      const state = await counters.read(name);
      if (state === undefined) throw unknownCounter(name);
      const etag = etagOf(state);
      reply.header('etag', etag).header('cache-control', 'no-cache');
      return isUnchanged(headers, etag) ? reply.status(304).send(null) : answerOf(name, state);
    },
  });

  app.get('/counters', {
    config: { problems: [...DATABASE_READ, 'queue_full'] },
    schema: {
      tags,
      summary: 'List counters page by page, or read several together',
      querystring: listQuery,
      response: { 200: listAnswer },
    },
    handler: ({ query }) => page(counters, query),
  });

  app.get('/counters/:name/windows/:window', {
    config: { problems: [...DATABASE_READ, 'queue_full'] },
    schema: {
      tags,
      summary: 'Read the counts of the last time windows',
      params: windowParams,
      querystring: windowQuery,
      response: { 200: windowAnswer },
    },
    handler: async ({ params: { name, window }, query: { last = 1 } }) => ({
      name,
      window,
      windows: await counters.readWindows(name, window, last),
    }),
  });

  app.get('/counters/:name/events', {
    config: { problems: ['queue_full', 'too_many_requests'] },
    exposeHeadRoute: false,
    schema: {
      tags,
      summary: 'Watch a counter (server-sent events)',
      params,
      querystring,
      response: { 200: eventsAnswer },
    },
    handler: async ({ params: { name }, ip }, reply) => sendEvents(reply, counters.watch(name, ip)),
  });
};

const BOUNDS_ARE_KEPT =
  'Fields that are not given do not change. An increment or a change that would put the value out of its bounds is refused with `out_of_bounds`.';

/** The problems of a change with a precondition. */
const CHANGE = [...DATABASE_WRITE, 'queue_full', 'precondition_failed', 'precondition_required'] as const;

/** Routes that set and delete counters, with a precondition. */
const changeRoutes: FastifyPluginAsyncTypebox<CounterRoutesOptions> = async (app, { counters }) => {
  app.put('/counters/:name', {
    config: { problems: [...CHANGE, 'out_of_range', 'out_of_bounds', 'key_reused'] },
    schema: {
      tags,
      summary: 'Set the value, bounds and expiry of a counter conditionally',
      description: BOUNDS_ARE_KEPT,
      params,
      querystring,
      headers: putHeaders,
      body: putBody,
      response: {
        200: putAnswer('The counter after the change, and the value before it'),
        201: putAnswer('The counter, which was created'),
      },
    },
    handler: async (request, reply) => {
      const { name } = request.params;
      const precondition = preconditionOf(request.headers);
      const { expires_at: expiresAt, ...others } = request.body;
      const change = expiresAt === undefined ? others : { ...others, expiresAt };
      const options = { key: keyOf(request) };
      const changed = await counters.set(name, change, precondition, options, senderOf(request, reply));
      const { replaced, replayed } = changed;
      if (replayed) reply.header('idempotency-replayed', 'true');
      reply.status(precondition === 'missing' ? 201 : 200).header('etag', etagOf(changed));
      return { ...answerOf(name, changed), ...(replaced === null ? {} : { replaced }) };
    },
  });

  app.delete('/counters/:name', {
    config: { problems: [...CHANGE, 'not_found'] },
    schema: {
      tags,
      summary: 'Delete a counter conditionally',
      params,
      querystring,
      headers: changeHeaders,
      response: { 204: Type.Null({ description: 'The counter was deleted' }) },
    },
    handler: async (request, reply) => {
      const { name } = request.params;
      const precondition = preconditionOf(request.headers);
      if (precondition === 'missing') {
        throw new Problem(
          'invalid_request',
          'If-None-Match: * excludes every counter that could be deleted; send If-Match',
        );
      }
      if (!(await counters.delete(name, precondition, senderOf(request, reply)))) throw unknownCounter(name);
      return reply.status(204).send(null);
    },
  });
};

async function page(counters: Counters, query: Static<typeof listQuery>) {
  const { name: names, ...listing } = query;
  if (names) {
    if (Object.keys(listing).length > 0)
      throw new Problem('invalid_request', 'name must be sent without prefix, after and limit');
    const found = await counters.readAll(names);
    return { counters: [...found].map(([name, state]) => answerOf(name, state)), next: null };
  }
  const { counters: found, next } = await counters.list(listing);
  return { counters: found.map((counter) => answerOf(counter.name, counter)), next };
}

/** The body of an answer. It has bounds and an expiry only if the counter has them. */
const answerOf = (name: string, { value, min, max, expiresAt }: CounterState) => ({
  name,
  value,
  ...(min === null ? {} : { min }),
  ...(max === null ? {} : { max }),
  ...(expiresAt === null ? {} : { expires_at: expiresAt }),
});

/** The type `null` stands for an answer without content. */
const notModified = Type.Null({ description: 'Not modified: an ETag that was sent is still current' });

const unknownCounter = (name: string) =>
  new Problem('not_found', `there is no counter ${JSON.stringify(name)}`);

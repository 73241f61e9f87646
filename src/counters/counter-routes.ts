import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { type EntityManager, UniqueConstraintViolationException } from '@mikro-orm/postgresql';
import { Type } from 'typebox';
import { Problem } from '../errors/problem.ts';
import { Counter } from './counter.ts';
import { etagOf, isUnchanged, type Precondition, preconditionOf } from './preconditions.ts';
import { assertValue } from './range.ts';
import type { CounterReader } from './reader.ts';
import {
  changeHeaders,
  counterAnswer,
  counterParams,
  eventsAnswer,
  listAnswer,
  listQuery,
  noQuery,
  putBody,
  readHeaders,
} from './schemas.ts';
import type { CounterWatch } from './watch.ts';

export interface CounterRoutesOptions {
  reader: CounterReader;
  watch: CounterWatch;
}

/** Counters as resources: read, listed, watched, set and deleted. */
export const counterRoutes: FastifyPluginAsyncTypebox<CounterRoutesOptions> = async (
  app,
  { reader, watch },
) => {
  const { orm } = app.database;
  const tags = ['Counters'];
  const params = counterParams;

  app.get('/counters/:name', {
    schema: {
      tags,
      summary: 'Reads a counter',
      params,
      querystring: noQuery,
      headers: readHeaders,
      response: { 200: counterAnswer('The counter; its ETag is its value'), 304: notModified },
    },
    handler: async ({ params: { name }, headers }, reply) => {
      const value = await reader.value(name);
      if (value === undefined) throw unknownCounter(name);
      const etag = etagOf(value);
      reply.header('etag', etag).header('cache-control', 'no-cache');
      if (isUnchanged(headers, etag)) return reply.status(304).send(null);
      return { name, value };
    },
  });

  app.get('/counters', {
    schema: {
      tags,
      summary: 'Lists counters by name, a page at a time',
      querystring: listQuery,
      response: { 200: listAnswer },
    },
    handler: async ({ query: { prefix, after, limit } }) => {
      const counters = await orm.em
        .fork()
        .find(
          Counter,
          { name: { $gt: after, $like: `${prefix.replace(/[\\%_]/g, '\\$&')}%` } },
          { orderBy: { name: 'asc' }, limit: limit + 1, disableIdentityMap: true },
        );
      const page = counters.slice(0, limit);
      return {
        counters: page.map(({ name, value }) => ({ name, value })),
        next: counters.length > limit ? (page.at(-1)?.name ?? null) : null,
      };
    },
  });

  app.get('/counters/:name/events', {
    exposeHeadRoute: false,
    schema: {
      tags,
      summary: 'The value, live, as server-sent events',
      params,
      querystring: noQuery,
      response: { 200: eventsAnswer },
    },
    handler: async ({ params: { name } }, reply) =>
      reply
        .header('content-type', 'text/event-stream')
        .header('cache-control', 'no-store')
        // A proxy in between (nginx) would collect events, and pass them on when there are enough.
        .header('x-accel-buffering', 'no')
        .send(watch.watch(name)),
  });

  app.put('/counters/:name', {
    schema: {
      tags,
      summary: 'Sets a counter, if it is as the request says',
      params,
      querystring: noQuery,
      headers: changeHeaders,
      body: putBody,
      response: {
        200: counterAnswer('The counter as it is now'),
        201: counterAnswer('The counter, just created'),
      },
    },
    handler: async ({ params: { name }, headers, body: { value } }, reply) => {
      const precondition = preconditionOf(headers);
      assertValue('value', value);
      const em = orm.em.fork();
      const changed =
        precondition === 'missing'
          ? await create(em, { name, value })
          : await em.nativeUpdate(Counter, as(name, precondition), { value });
      if (!changed) throw failed(name);
      return reply
        .status(precondition === 'missing' ? 201 : 200)
        .header('etag', etagOf(value))
        .send({ name, value });
    },
  });

  app.delete('/counters/:name', {
    schema: {
      tags,
      summary: 'Deletes a counter, if it is as the request says',
      params,
      querystring: noQuery,
      headers: changeHeaders,
      response: { 204: Type.Null({ description: 'It is gone' }) },
    },
    handler: async ({ params: { name }, headers }, reply) => {
      const precondition = preconditionOf(headers);
      if (precondition === 'missing') {
        throw new Problem('invalid_request', 'what must not exist cannot be deleted: send If-Match');
      }
      if (await orm.em.fork().nativeDelete(Counter, as(name, precondition)))
        return reply.status(204).send(null);
      throw (await reader.value(name)) === undefined ? unknownCounter(name) : failed(name);
    },
  });
};

/** No content: `null` is how it is said. */
const notModified = Type.Null({ description: 'What you have still holds' });

/** A condition of the statement itself, so that nothing can come between looking and changing. */
const as = (name: string, precondition: Exclude<Precondition, 'missing'>) =>
  precondition === 'exists' ? { name } : { name, value: { $in: precondition.oneOf } };

/** @returns whether there was none before */
async function create(em: EntityManager, counter: { name: string; value: number }): Promise<boolean> {
  try {
    await em.insert(Counter, counter);
    return true;
  } catch (error) {
    if (error instanceof UniqueConstraintViolationException) return false;
    throw error;
  }
}

const unknownCounter = (name: string) =>
  new Problem('not_found', `there is no counter ${JSON.stringify(name)}`);

const failed = (name: string) =>
  new Problem(
    'precondition_failed',
    `the counter ${JSON.stringify(name)} is not as If-Match or If-None-Match says`,
  );

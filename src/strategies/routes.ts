import { RequestContext } from '@mikro-orm/core';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { Problem } from '../errors/problem.ts';
import { Post } from './post.ts';
import { Contender } from '../races/contender.ts';
import { clientGone } from '../http/signals.ts';
import { strategies } from './index.ts';
import { incrementAnswer, postAnswer, postParams, strategiesAnswer, strategyParams } from './schemas.ts';
import type { Strategy } from './strategy.ts';

/** What the strategies are, and each of them over HTTP, one increment a request, on posts made for it. */
export const strategiesRoutes: FastifyPluginAsyncTypebox<{ closing: AbortSignal }> = async (
  app,
  { closing },
) => {
  const { orm } = app.database;
  app.addHook('onRequest', (_request, _reply, done) => RequestContext.create(orm.em, done));
  app.addHook('onSend', async (_request, reply) => void reply.header('cache-control', 'no-store'));
  const tags = ['Strategies'];

  app.get('/strategies', {
    schema: { tags, summary: 'Every way to count, and what it claims', response: { 200: strategiesAnswer } },
    handler: async () =>
      strategies.map(({ name, summary, claim, attempts }) => ({ name, summary, claim, attempts })),
  });

  app.post('/strategies/:strategy/posts', {
    schema: {
      tags,
      summary: 'Makes a post to count with this strategy',
      params: strategyParams,
      response: { 201: postAnswer },
    },
    handler: async (_request, reply) => {
      const pk = await orm.em.insert(Post, { like: 0, version: 1, modifiedAt: new Date() });
      return reply.status(201).send({ pk, likes: 0 });
    },
  });

  app.get('/strategies/:strategy/posts/:pk', {
    schema: { tags, summary: 'Counts its likes', params: postParams, response: { 200: postAnswer } },
    handler: async ({ params: { strategy, pk } }) => {
      const { like } = await orm.em.findOneOrFail(Post, pk);
      return { pk, likes: (await strategyNamed(strategy).count?.(orm.em, pk)) ?? like };
    },
  });

  app.post('/strategies/:strategy/posts/:pk/increments', {
    schema: { tags, summary: 'Adds 1', params: postParams, response: { 200: incrementAnswer } },
    handler: async ({ params: { strategy: name, pk }, log }, reply) => {
      const strategy = strategyNamed(name);
      const signal = AbortSignal.any([clientGone(reply), closing]);
      const contender = new Contender(
        { strategy, pk, increments: 1, newSession: () => orm.em.fork(), signal, log },
        1,
      );
      await contender.run(0);
      const [increment] = contender.history;
      if (increment?.outcome !== 'acknowledged') {
        throw new Problem('conflict', `refused after ${contender.conflicts} conflicts: nothing was changed`);
      }
      return { like: increment.value ?? null, conflicts: contender.conflicts };
    },
  });

  app.delete('/strategies/:strategy/posts/:pk', {
    schema: { tags, summary: 'Removes the post', params: postParams, response: { 204: Type.Null() } },
    handler: async ({ params: { pk } }, reply) => {
      if ((await orm.em.nativeDelete(Post, pk)) === 0)
        throw new Problem('not_found', `there is no post ${pk}`);
      return reply.status(204).send(null);
    },
  });
};

/** The schema has let only known names through. */
function strategyNamed(name: string): Strategy {
  const strategy = strategies.find((one) => one.name === name);
  if (!strategy) throw new Problem('not_found', `there is no strategy "${name}"`);
  return strategy;
}

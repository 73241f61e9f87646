import { RequestContext } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger } from 'fastify';
import { Problem } from '../../errors/problem.ts';
import { DATABASE_READ, DATABASE_WRITE } from '../../http/problem-answers.ts';
import { clientGone } from '../../http/signals.ts';
import { strategies } from '../index.ts';
import { Post } from '../../likes/post.ts';
import { makePost, removePost } from './requested-posts.ts';
import { runStrategy } from '../../likes/run.ts';
import { countSchema, incrementSchema, listed, listSchema, makeSchema, removeSchema } from './schemas.ts';
import type { Strategy } from '../../likes/strategy.ts';

/** Lists the strategies, and runs one increment for each request, on posts created for that. */
export const strategiesRoutes: FastifyPluginAsyncTypebox<{ closing: AbortSignal }> = async (
  app,
  { closing },
) => {
  const { em } = app.database.orm;
  app.addHook('onRequest', (_request, _reply, done) => RequestContext.create(em, done));
  app.addHook('onSend', async (_request, reply) => void reply.header('cache-control', 'no-store'));

  app.get('/strategies', { schema: listSchema, handler: async () => listed });
  app.post('/strategies/:strategy/posts', {
    config: { problems: DATABASE_WRITE },
    schema: makeSchema,
    handler: async (_request, reply) => reply.status(201).send({ pk: await makePost(em), likes: 0 }),
  });
  app.get('/strategies/:strategy/posts/:pk', {
    config: { problems: [...DATABASE_READ, 'not_found'] },
    schema: countSchema,
    handler: ({ params }) => count(em, params),
  });
  app.post('/strategies/:strategy/posts/:pk/increments', {
    config: { problems: [...DATABASE_WRITE, 'not_found', 'queue_full', 'retries_exhausted'] },
    schema: incrementSchema,
    handler: ({ params, log }, reply) =>
      increment(em, params, AbortSignal.any([clientGone(reply), closing]), log),
  });
  app.delete('/strategies/:strategy/posts/:pk', {
    config: { problems: [...DATABASE_WRITE, 'not_found'] },
    schema: removeSchema,
    handler: async ({ params }, reply) => {
      await removePost(em, params.pk);
      return reply.status(204).send(null);
    },
  });
};

/** The parameters of a path: a strategy and a post. */
interface Counted {
  strategy: string;
  pk: number;
}

async function count(em: EntityManager, { strategy, pk }: Counted) {
  const { like } = await em.findOneOrFail(Post, pk);
  return { pk, likes: (await strategyNamed(strategy).count?.(em, pk)) ?? like };
}

/** @throws {Problem} `conflict` when the increment was refused */
async function increment(
  em: EntityManager,
  { strategy, pk }: Counted,
  signal: AbortSignal,
  log: FastifyBaseLogger,
) {
  const options = { newSession: () => em.fork(), signal, log };
  const { outcome, value, conflicts } = await runStrategy(strategyNamed(strategy), pk, options);
  if (outcome === 'acknowledged') return { like: value ?? null, conflicts };
  throw new Problem(
    'conflict',
    `refused after ${conflicts} conflicts; nothing was changed: send the request again`,
  );
}

/** Finds the strategy. (The schema allows only known names.) */
function strategyNamed(name: string): Strategy {
  const strategy = strategies.find((one) => one.name === name);
  if (!strategy) throw new Problem('not_found', `there is no strategy "${name}"`);
  return strategy;
}

import { RequestContext } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Problem } from '../errors/problem.ts';
import { clientGone, withDeadline } from '../http/signals.ts';
import type { Arena, RaceResult } from '../races/arena.ts';
import { refuseBody } from '../http/validation.ts';
import { endpoints } from './endpoints.ts';
import { DEFAULT_POST, type Post } from '../strategies/post.ts';
import { incrementAnswer, incrementQuery, postAnswer, TOTAL_MAX } from './schemas.ts';
import { readDefaultPost, resetDefaultPost } from './store.ts';

export interface PostsOptions {
  arena: Arena;
  /** Aborted when the service stops waiting for what is under way. */
  closing: AbortSignal;
}

/** How long the increments of a call may take, in milliseconds. */
const CALL_MS_MAX = 60_000;

/** That GET writes is the seed's way; POST is the way to do it. HEAD must not. */
const METHODS = ['GET', 'POST'] as const;

const tags = ['The seed’s endpoints'];

const simple: { path: string; message: string; summary: string; act?: typeof resetDefaultPost }[] = [
  {
    path: '/init',
    message: '/init : Like count initialized to 0',
    summary: 'Sets the likes of post 1 to 0',
    act: resetDefaultPost,
  },
  { path: '/check', message: '/check : Current like count', summary: 'Reads post 1' },
];

/** The seed's endpoints. Each request has an EntityManager, and so an identity map, of its own. */
export const postsRoutes: FastifyPluginAsyncTypebox<PostsOptions> = async (app, { arena, closing }) => {
  const { orm } = app.database;
  app.addHook('onRequest', (_request, _reply, done) => RequestContext.create(orm.em, done));
  app.addHook('onSend', async (_request, reply) => void reply.header('cache-control', 'no-store'));
  app.addHook('preValidation', refuseBody);

  for (const method of METHODS) {
    for (const { path, message, summary, act } of simple) {
      app.route({
        method,
        url: path,
        exposeHeadRoute: false,
        config: { writes: act !== undefined },
        schema: { tags, summary, response: { 200: postAnswer(message) } },
        handler: async () => {
          await act?.(orm.em);
          return { message, ...shown(await readDefaultPost(orm.em)) };
        },
      });
    }
    for (const endpoint of endpoints) {
      const { path, message, summary, strategy } = endpoint;
      app.route({
        method,
        url: path,
        exposeHeadRoute: false,
        config: { writes: true },
        schema: {
          tags,
          summary,
          querystring: incrementQuery(endpoint),
          response: { 200: incrementAnswer(message) },
        },
        handler: async ({ query, log }, reply) => {
          const { workers, increments } = query;
          const attempted = attempts(query);
          const gone = clientGone(reply);
          const before = shown(await readDefaultPost(orm.em));
          const race = {
            strategy,
            pk: DEFAULT_POST,
            contenders: workers,
            increments,
            newSession: sessionsOf(orm.em, workers),
            log,
          };
          const result = await withDeadline(CALL_MS_MAX, [gone, closing], (signal) =>
            arena.run({ ...race, signal }),
          );
          return { message, attempted, ...account(before, result, shown(await readDefaultPost(orm.em))) };
        },
      });
    }
  }
};

/** @throws {Problem} when one call asks for too many increments */
function attempts({ workers, increments }: { workers: number; increments: number }): number {
  const total = workers * increments;
  if (total <= TOTAL_MAX) return total;
  throw new Problem('invalid_request', `workers × increments is ${total}; allowed: up to ${TOTAL_MAX}`);
}

/** What the count should be and what it is. */
function account(before: ShownPost, result: RaceResult, after: ShownPost) {
  const { acknowledged, conflicts, retries, durationMs, workers } = result;
  const expected = before.like_result + acknowledged;
  return {
    ...after,
    like_before: before.like_result,
    version_before: before.version,
    acknowledged,
    expected,
    // Only of this call if nobody else writes: others' increments hide losses, a reset or an unsafe write feigns them.
    lost: Math.max(0, expected - after.like_result),
    conflicts,
    retries,
    duration_ms: Math.round(durationMs * 10) / 10,
    workers,
  };
}

type ShownPost = ReturnType<typeof shown>;

function shown({ like, version, modifiedAt }: Post) {
  return { like_result: like, version, modified_at: modifiedAt.toISOString() };
}

/**
 * A single worker is the request itself and uses its EntityManager, emptied for each increment, as the seed's
 * session forgets what it read at every commit. Several workers cannot share one: each attempt forks it.
 */
function sessionsOf(em: EntityManager, workers: number): () => EntityManager {
  if (workers > 1) return () => em.fork();
  return () => {
    em.clear();
    return em;
  };
}

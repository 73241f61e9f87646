import { RequestContext } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Problem } from '../errors.ts';
import type { Arena } from '../strategies/race.ts';
import { endpoints } from './endpoints.ts';
import { DEFAULT_POST, type Post } from './post.ts';
import { incrementAnswer, incrementQuery, noBody, postAnswer, TOTAL_MAX } from './schemas.ts';
import { ensureDefaultPost, readDefaultPost, resetDefaultPost } from './store.ts';

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

const simple = [
  {
    path: '/init',
    message: '/init : Like count initialized to 0',
    summary: 'Sets the likes of post 1 to 0',
    act: resetDefaultPost,
  },
  { path: '/check', message: '/check : Current like count', summary: 'Reads post 1', act: ensureDefaultPost },
];

/** The seed's endpoints. Each request has an EntityManager, and so an identity map, of its own. */
export const postsRoutes: FastifyPluginAsyncTypebox<PostsOptions> = async (app, { arena, closing }) => {
  const { orm } = app.database;
  app.addHook('onRequest', (_request, _reply, done) => RequestContext.create(orm.em, done));
  app.addHook('onSend', async (_request, reply) => void reply.header('cache-control', 'no-store'));

  for (const method of METHODS) {
    for (const { path, message, summary, act } of simple) {
      app.route({
        method,
        url: path,
        exposeHeadRoute: false,
        schema: { tags, summary, ...bodyOf(method), response: { 200: postAnswer(message) } },
        handler: async () => {
          await act(orm.em);
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
        schema: {
          tags,
          summary,
          ...bodyOf(method),
          querystring: incrementQuery(endpoint),
          response: { 200: incrementAnswer(message) },
        },
        handler: async ({ query: { workers, increments }, signal, log }) => {
          const attempted = workers * increments;
          if (attempted > TOTAL_MAX) {
            throw new Problem('invalid_request', `workers × increments is ${attempted}; allowed: up to ${TOTAL_MAX}`);
          }
          await ensureDefaultPost(orm.em);
          const before = shown(await readDefaultPost(orm.em));
          const { acknowledged, conflicts, retries, ...result } = await withDeadline(CALL_MS_MAX, (deadline) =>
            arena.run({
              strategy,
              pk: DEFAULT_POST,
              contenders: workers,
              increments,
              newSession: sessionsOf(orm.em, workers),
              signal: AbortSignal.any([signal, closing, deadline]),
              log,
            }),
          );
          const after = shown(await readDefaultPost(orm.em));
          const expected = before.like_result + acknowledged;
          return {
            message,
            ...after,
            like_before: before.like_result,
            version_before: before.version,
            attempted,
            acknowledged,
            expected,
            lost: Math.max(0, expected - after.like_result),
            conflicts,
            retries,
            duration_ms: Math.round(result.durationMs * 10) / 10,
            workers: result.workers.map(({ backendPid, ...worker }) => ({ ...worker, backend_pid: backendPid })),
          };
        },
      });
    }
  }
};

/** These routes take no body: one that is sent would be misunderstood, so it is refused unless it is empty. */
const bodyOf = (method: (typeof METHODS)[number]) => (method === 'POST' ? { body: noBody } : {});

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

/** Gives `work` a signal that is aborted after so many milliseconds, unless it is done by then. */
async function withDeadline<T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const deadline = new AbortController();
  const timer = setTimeout(() => {
    deadline.abort(new Problem('out_of_time', `not all increments were done after ${ms / 1000} s`));
  }, ms);
  try {
    return await work(deadline.signal);
  } finally {
    clearTimeout(timer);
  }
}

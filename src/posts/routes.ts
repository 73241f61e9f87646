import { RequestContext } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { DATABASE_WRITE } from '../http/problem-answers.ts';
import { clientGone, withDeadline } from '../http/signals.ts';
import type { Arena, RaceResult } from '../races/arena.ts';
import { refuseBody } from '../http/validation.ts';
import { RACE, totalOf } from '../races/limits.ts';
import type { Race } from '../races/worker.ts';
import { type Endpoint, endpoints } from './endpoints.ts';
import { DEFAULT_POST, type Post } from '../likes/post.ts';
import { endpointSchema, plainSchema } from './schemas.ts';
import { readDefaultPost, resetDefaultPost } from './store.ts';

interface PostsOptions {
  arena: Arena;
  /** Aborted when the service stops waiting for requests in flight. */
  closing: AbortSignal;
}

/** The time limit for the increments of a call, in milliseconds. */
const CALL_MS_MAX = 60_000;

/** GET writes as in the blog post; POST is the correct method. HEAD must not write. */
const METHODS = ['GET', 'POST'] as const;

interface Plain extends Pick<Endpoint, 'path' | 'message' | 'summary'> {
  act?: (em: EntityManager) => Promise<void>;
}

/** The endpoints that do not increment. */
const plain: readonly Plain[] = [
  {
    path: '/init',
    message: '/init : Like count initialized to 0',
    summary: 'Reset the likes of post 1 to 0',
    act: resetDefaultPost,
  },
  { path: '/check', message: '/check : Current like count', summary: 'Read post 1' },
];

/** The endpoints of the blog post. Each request has its own EntityManager, and so its own identity map. */
export const postsRoutes: FastifyPluginAsyncTypebox<PostsOptions> = async (app, { arena, closing }) => {
  const { em } = app.database.orm;
  app.addHook('onRequest', (_request, _reply, done) => RequestContext.create(em, done));
  app.addHook('onSend', async (_request, reply) => void reply.header('cache-control', 'no-store'));
  app.addHook('preValidation', refuseBody);

  for (const method of METHODS) {
    for (const one of plain) {
      app.route({
        method,
        url: one.path,
        exposeHeadRoute: false,
        config: { writes: one.act !== undefined, problems: DATABASE_WRITE },
        schema: plainSchema(one),
        handler: () => answerPlain(em, one),
      });
    }
    for (const endpoint of endpoints) {
      app.route({
        method,
        url: endpoint.path,
        exposeHeadRoute: false,
        config: { writes: true, problems: RACE },
        schema: endpointSchema(endpoint),
        handler: ({ query, log }, reply) =>
          withDeadline(CALL_MS_MAX, [clientGone(reply), closing], (signal) =>
            runEndpoint(arena, endpoint, { ...query, em, signal, log }),
          ),
      });
    }
  }
};

async function answerPlain(em: EntityManager, { message, act }: Plain) {
  await act?.(em);
  return { message, ...fieldsOf(await readDefaultPost(em)) };
}

type Call = Pick<Race, 'workers' | 'increments' | 'signal' | 'log'> & { em: EntityManager };

/** Lets the workers of an endpoint increment the default post, and compares the count with what was acknowledged. */
async function runEndpoint(arena: Arena, { message, strategy }: Endpoint, { em, ...call }: Call) {
  const attempted = totalOf(call);
  const before = fieldsOf(await readDefaultPost(em));
  const newSession = sessionsOf(em, call.workers);
  const result = await arena.run({ ...call, strategy, pk: DEFAULT_POST, newSession });
  return { message, attempted, ...account(before, result, fieldsOf(await readDefaultPost(em))) };
}

/** Compares the expected count with the actual one. */
function account(before: PostFields, result: RaceResult, after: PostFields) {
  const { acknowledged, conflicts, retries, durationMs, workers } = result;
  const expected = before.like_result + acknowledged;
  return {
    ...after,
    like_before: before.like_result,
    version_before: before.version,
    acknowledged,
    expected,
    // Accurate only if no other caller writes: other increments hide losses, and a reset or an unsafe write looks like one.
    lost: Math.max(0, expected - after.like_result),
    conflicts,
    retries,
    duration_ms: Math.round(durationMs * 10) / 10,
    workers,
  };
}

type PostFields = ReturnType<typeof fieldsOf>;

function fieldsOf({ like, version, modifiedAt }: Post) {
  return { like_result: like, version, modified_at: modifiedAt.toISOString() };
}

/**
 * A single worker uses the request's own EntityManager, cleared for each increment, as the session in the blog post
 * discards what it has read at every commit. Several workers cannot share an EntityManager: each attempt has a fork.
 */
function sessionsOf(em: EntityManager, workers: number): () => EntityManager {
  if (workers > 1) return () => em.fork();
  return () => {
    em.clear();
    return em;
  };
}

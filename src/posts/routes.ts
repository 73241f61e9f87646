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
import { DEFAULT_POST, type Post } from '../strategies/post.ts';
import { endpointSchema, plainSchema } from './schemas.ts';
import { readDefaultPost, resetDefaultPost } from './store.ts';

interface PostsOptions {
  arena: Arena;
  /** Aborted when the service stops waiting for what is under way. */
  closing: AbortSignal;
}

/** How long the increments of a call may take, in milliseconds. */
const CALL_MS_MAX = 60_000;

/** That GET writes is the seed's way; POST is the way to do it. HEAD must not. */
const METHODS = ['GET', 'POST'] as const;

interface Plain extends Pick<Endpoint, 'path' | 'message' | 'summary'> {
  act?: (em: EntityManager) => Promise<void>;
}

/** The endpoints that do not increment. */
const plain: readonly Plain[] = [
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
        handler: () => answered(em, one),
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
            raced(arena, endpoint, { ...query, em, signal, log }),
          ),
      });
    }
  }
};

async function answered(em: EntityManager, { message, act }: Plain) {
  await act?.(em);
  return { message, ...shown(await readDefaultPost(em)) };
}

type Call = Pick<Race, 'workers' | 'increments' | 'signal' | 'log'> & { em: EntityManager };

/** Lets the workers of an endpoint increment the default post, and says what came of it. */
async function raced(arena: Arena, { message, strategy }: Endpoint, { em, ...call }: Call) {
  const attempted = totalOf(call);
  const before = shown(await readDefaultPost(em));
  const newSession = sessionsOf(em, call.workers);
  const result = await arena.run({ ...call, strategy, pk: DEFAULT_POST, newSession });
  return { message, attempted, ...account(before, result, shown(await readDefaultPost(em))) };
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
    // Of this call only if no other caller writes: other increments hide losses, a reset or an unsafe write feigns them.
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

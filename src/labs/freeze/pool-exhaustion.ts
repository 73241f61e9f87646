import type { EntityManager } from '@mikro-orm/postgresql';
import type { Experiment } from '../bench/experiment.ts';
import { meetingOf } from '../bench/barriers.ts';
import { blocked } from '../bench/observer.ts';
import { newPostClass, POSTS } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';
import { Requests } from './requests.ts';

/** Longer than it takes to observe the wait, and short enough for an experiment. */
const ACQUIRE_MS = 800;

/** Two requests on a pool of two: each runs a query inside its transaction, through the given EntityManager. */
async function twoRequests(
  scratch: Scratch,
  managerOf: (em: EntityManager, tx: EntityManager) => EntityManager,
) {
  const Post = newPostClass();
  const pool = scratch.pool({ limits: { POOL_MAX: 2, POOL_ACQUIRE_TIMEOUT_MS: ACQUIRE_MS } });
  const requests = new Requests(scratch, pool, Post);
  await requests.connect();
  const { em } = scratch.ormOver(pool.sessions, [Post]);
  const meet = meetingOf(2);
  const ends = [1, 2].map((pk) =>
    requests.run(`request ${pk}`, () =>
      em.fork().transactional(async (tx) => {
        await tx.nativeUpdate(Post, pk, { like: 1 });
        await meet();
        await managerOf(em.fork(), tx).count(Post);
      }),
    ),
  );
  let answered = 0;
  for (const end of ends) void end.then(() => (answered += 1));
  const backends = await scratch.observer.until(() => requests.pool.waiting === 2 || answered === 2);
  const seen = {
    waiting_for_a_connection: requests.pool.waiting,
    waiting_for_a_lock: blocked(backends).length,
  };
  const outcome = await Promise.all(ends);
  await scratch.observer.until(() => requests.pool.free === requests.pool.connections);
  return { ...seen, requests: outcome, pool_afterwards: requests.pool };
}

export const poolExhaustion: Experiment = {
  name: 'pool-exhaustion',
  claim:
    'Requests that hold a connection while they wait for a second one can deadlock in the pool, where the database cannot detect it; the acquire timeout ends it, and doing everything on one connection avoids it.',
  cure: `
await em.transactional(async (tx) => {
  await tx.nativeUpdate(Post, pk, { like: 1 });
  await tx.count(Post); // on tx: the connection that it already has
});`,
  setup: POSTS,
  async run(scratch) {
    scratch.timeline.part = 'a second connection';
    const exhausted = await twoRequests(scratch, (other) => other);
    scratch.timeline.part = 'the same connection';
    const avoided = await twoRequests(scratch, (_other, tx) => tx);
    const holds =
      exhausted.waiting_for_a_connection === 2 &&
      exhausted.waiting_for_a_lock === 0 &&
      exhausted.requests.some(({ failure }) => failure === 'busy') &&
      avoided.requests.every(({ end }) => end === 'done');
    const figures = { exhausted, avoided };
    return { holds, figures };
  },
};

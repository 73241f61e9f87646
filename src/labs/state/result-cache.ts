import { LockMode } from '@mikro-orm/core';
import type { Experiment } from '../bench/experiment.ts';
import { retry } from '../../concurrency/retry.ts';
import { isConflict } from '../../database/failure.ts';
import { endingOf, likesOf } from '../bench/outcome.ts';
import { newPostClass, POSTS } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';

const RETRY = { attemptsMax: 5, elapsedMsMax: 5000, delayMsBase: 1, delayMsMax: 4, retryable: isConflict };

/** An optimistic increment with retries whose read may come from MikroORM's result cache. */
async function increment(scratch: Scratch, cached: boolean) {
  await scratch.outside.query('update posts set "like" = 0, version = 1');
  const Post = newPostClass();
  const { em } = scratch.orm([Post]);
  const cache: [string, number] = ['post 1', 60_000];
  const options = cached ? { cache } : {};
  await em.fork().findOneOrFail(Post, 1, options);
  await scratch.outside.query('update posts set "like" = 100, version = version + 1 where pk = 1');
  let attempts = 0;
  const end = await endingOf(
    retry(async () => {
      attempts += 1;
      const fork = em.fork();
      (await fork.findOneOrFail(Post, 1, options)).like += 1;
      await fork.flush();
    }, RETRY),
  );
  const locked = await em.fork().transactional(async (tx) => {
    const { like } = await tx.findOneOrFail(Post, 1, { ...options, lockMode: LockMode.PESSIMISTIC_WRITE });
    return like;
  });
  return { attempts, end, like: (await likesOf(scratch.outside))[0], read_with_a_lock: locked };
}

export const resultCache: Experiment = {
  name: 'result-cache',
  claim:
    'The result cache returns managed entities with old values: an optimistic increment that reads through it is refused at every retry, and a locking read returns the old likes and locks nothing.',
  cure: `
await retry(async () => {
  const fork = em.fork();
  // No result cache for entities that will be written.
  const post = await fork.findOneOrFail(Post, pk);
  post.like += 1;
  await fork.flush();
}, policy);`,
  setup: POSTS,
  async run(scratch) {
    scratch.timeline.part = 'through the result cache';
    const cached = await increment(scratch, true);
    scratch.timeline.part = 'without it';
    const plain = await increment(scratch, false);
    const holds =
      cached.attempts === RETRY.attemptsMax &&
      cached.like === 100 &&
      cached.read_with_a_lock === 0 &&
      plain.end === 'done' &&
      plain.like === 101 &&
      plain.read_with_a_lock === 101;
    const figures = { through_the_cache: cached, without_it: plain };
    return { holds, figures };
  },
};

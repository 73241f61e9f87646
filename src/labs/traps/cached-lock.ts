import { LockMode } from '@mikro-orm/core';
import { isLocked } from '../bench/outcome.ts';
import { newPostClass } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';
import { experimentOf } from './trap.ts';

/** Reads a post with a lock after it was cached and then changed; returns whether the row is really locked. */
async function lockedRead(scratch: Scratch, cached: boolean) {
  const Post = newPostClass();
  const { em } = scratch.orm([Post]);
  const cache: [string, number] = ['post 1', 60_000];
  await em.fork().findOneOrFail(Post, 1, { cache });
  await scratch.outside.query('update posts set "like" = 100, version = version + 1 where pk = 1');
  return em.fork().transactional(async (tx) => {
    const options = { lockMode: LockMode.PESSIMISTIC_WRITE, ...(cached ? { cache } : {}) };
    const { like } = await tx.findOneOrFail(Post, 1, options);
    return { like, locked: await isLocked(scratch.outside) };
  });
}

export const cachedLock = experimentOf({
  name: 'cached-lock',
  claim: 'A read with both a result cache and a pessimistic lock returns the cached row and takes no lock.',
  expectation: 'A locking read queries the database, or the two options are mutually exclusive.',
  guard: 'Locking reads do not use the result cache.',
  cure: `
// The lock without a cache.
const lockMode = LockMode.PESSIMISTIC_WRITE;
const post = await tx.findOneOrFail(Post, pk, { lockMode });`,
  async fallInto(scratch) {
    const figures = await lockedRead(scratch, true);
    return { seen: figures.like === 0 && !figures.locked, figures };
  },
  async avoid(scratch) {
    const figures = await lockedRead(scratch, false);
    return { seen: figures.like === 100 && figures.locked, figures };
  },
});

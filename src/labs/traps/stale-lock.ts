import { LockMode } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import { isLocked } from '../bench/outcome.ts';
import { newPostClass, type PostClass } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';
import { experimentOf } from './trap.ts';

type Post = InstanceType<PostClass>;

async function likeUnderLock(scratch: Scratch, lock: (tx: EntityManager, post: Post) => Promise<unknown>) {
  const Post = newPostClass();
  return scratch
    .orm([Post])
    .em.fork()
    .transactional(async (tx) => {
      const post = await tx.findOneOrFail(Post, 1);
      await scratch.outside.query('update posts set "like" = 100, version = version + 1 where pk = 1');
      await lock(tx, post);
      return { like_under_lock: post.like, locked: await isLocked(scratch.outside) };
    });
}

export const staleLock = experimentOf({
  name: 'stale-lock',
  claim:
    'Locking with em.lock() takes the row lock for an entity that was read before, but leaves the old values in the entity.',
  expectation: 'Under the lock, the entity has the current values of the row.',
  guard: 'The read itself takes the lock: a find with lockMode reads the row again.',
  cure: `
// Instead of tx.lock(post, …): the read itself takes the lock.
await tx.refresh(post, { lockMode: LockMode.PESSIMISTIC_WRITE });
post.like += 1;`,
  async fallInto(scratch) {
    const figures = await likeUnderLock(scratch, (tx, post) => tx.lock(post, LockMode.PESSIMISTIC_WRITE));
    return { seen: figures.like_under_lock === 0 && figures.locked, figures };
  },
  async avoid(scratch) {
    const figures = await likeUnderLock(scratch, (tx, post) =>
      tx.refresh(post, { lockMode: LockMode.PESSIMISTIC_WRITE }),
    );
    return { seen: figures.like_under_lock === 100 && figures.locked, figures };
  },
});

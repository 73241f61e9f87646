import { LockMode, NotFoundError } from '@mikro-orm/core';
import { Post } from './post.ts';
import { PERSISTENT, type Strategy } from './strategy.ts';

/**
 * Relies on the row lock, taken by the read itself and held to the commit: the others wait their turn. Breaks when
 * one path that writes forgets to lock, and stalls when a holder stalls: a lock timeout is part of it.
 *
 * The query builder reads the one column that is needed. `findOneOrFail(Post, pk, { lockMode })` locks as well, and
 * builds an entity that nobody uses while everybody waits for the lock: twice the work (see `npm run benchmark`).
 */
export const pessimistic: Strategy = {
  name: 'pessimistic',
  summary: 'Locks the row while reading it (SELECT … FOR UPDATE) and holds the lock until the commit.',
  claim: 'exact',
  // At repeatable read and above, a row that changed after our snapshot cannot be locked: 40001.
  attempts: PERSISTENT,
  increment: (em, pk) =>
    em.transactional(async (tx) => {
      const posts = () => tx.createQueryBuilder(Post);
      const [post] = await posts()
        .select('like')
        .where({ pk })
        .setLockMode(LockMode.PESSIMISTIC_WRITE)
        .execute();
      if (!post) throw NotFoundError.findOneFailed('Post', pk);
      const like = post.like + 1;
      await posts().update({ like, modifiedAt: new Date() }).where({ pk }).execute();
      return like;
    }),
};

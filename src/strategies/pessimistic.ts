import { LockMode, NotFoundError } from '@mikro-orm/core';
import { Post } from '../likes/post.ts';
import { nextLike } from '../likes/stock.ts';
import { PERSISTENT, type Strategy } from '../likes/strategy.ts';

/**
 * Relies on the row lock, which the read itself takes and the transaction holds until the commit: other writers wait.
 * Breaks when one writing code path forgets to lock, and stalls when the lock holder stalls: it needs a lock timeout.
 *
 * The query builder reads only the columns that are needed. `findOneOrFail(Post, pk, { lockMode })` locks as well, but
 * builds an entity that is not used while other callers wait for the lock: twice the work (see `npm run benchmark`).
 */
export const pessimistic: Strategy = {
  name: 'pessimistic',
  summary: 'Locks the row while reading it (SELECT … FOR UPDATE) and holds the lock until the commit.',
  claim: 'exact',
  // At REPEATABLE READ and above, locking a row that changed after the snapshot fails with 40001.
  attempts: PERSISTENT,
  increment: (em, pk) =>
    em.transactional(async (tx) => {
      const posts = () => tx.createQueryBuilder(Post);
      const [post] = await posts()
        .select(['like', 'stock'])
        .where({ pk })
        .setLockMode(LockMode.PESSIMISTIC_WRITE)
        .execute();
      if (!post) throw NotFoundError.findOneFailed('Post', pk);
      const like = nextLike(post);
      await posts().update({ like, modifiedAt: new Date() }).where({ pk }).execute();
      return like;
    }),
};

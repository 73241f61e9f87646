import { LockMode } from '@mikro-orm/core';
import { Post } from '../likes/post.ts';
import { nextLike } from '../likes/stock.ts';
import { PERSISTENT, type Strategy } from '../likes/strategy.ts';

/**
 * Relies on the row lock and checks the version as well, so that a code path that forgot to lock is detected. Where all
 * paths lock, the check costs nothing and finds nothing.
 */
export const pessimisticVersioned: Strategy = {
  name: 'pessimistic-versioned',
  summary: 'Locks the row while reading it, and checks the version in case another writer did not lock.',
  claim: 'exact',
  attempts: PERSISTENT,
  increment: (em, pk) =>
    em.transactional(async (tx) => {
      const post = await tx.findOneOrFail(Post, pk, { lockMode: LockMode.PESSIMISTIC_WRITE });
      post.like = nextLike(post);
      await tx.flush();
      return post.like;
    }),
};

import { OptimisticLockError } from '@mikro-orm/core';
import { Post } from '../likes/post.ts';
import { nextLike } from '../likes/stock.ts';
import { PERSISTENT, type Strategy } from '../likes/strategy.ts';

/**
 * Relies on an UPDATE that names the version it read, and on checking how many rows it changed. Breaks without that
 * check: to the database, an UPDATE of no rows is a success.
 */
export const compareAndSet: Strategy = {
  name: 'compare-and-set',
  summary: 'Writes with a hand-written UPDATE … WHERE version = …, and retries if it changed no row.',
  claim: 'exact',
  attempts: PERSISTENT,
  async increment(em, pk) {
    const post = await em.findOneOrFail(Post, pk);
    const { version } = post;
    const like = nextLike(post);
    const changed = await em.nativeUpdate(Post, { pk, version }, { like, modifiedAt: new Date() });
    if (changed === 0) throw OptimisticLockError.lockFailed(post);
    return like;
  },
};

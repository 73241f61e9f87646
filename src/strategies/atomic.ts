import { NotFoundError, raw } from '@mikro-orm/core';
import { Post } from '../likes/post.ts';
import { PERSISTENT, type Strategy } from '../likes/strategy.ts';

/**
 * Relies on the database to read and write in one statement: the UPDATE locks the row, reads its latest value and adds
 * to it. Does not work when the new value depends on more than the old one; a limit is a constraint of the table.
 */
export const atomic: Strategy = {
  name: 'atomic',
  summary: 'Lets the database add: a single UPDATE … SET like = like + 1, with no explicit transaction.',
  claim: 'exact',
  // At REPEATABLE READ and above, updating a row that changed after the snapshot fails with 40001.
  attempts: PERSISTENT,
  async increment(em, pk) {
    const { row } = await em
      .createQueryBuilder(Post)
      .update({ like: raw('"like" + 1'), modifiedAt: raw('now()') })
      .where({ pk })
      .returning('like')
      .execute();
    if (!row) throw NotFoundError.findOneFailed('Post', pk);
    return row.like;
  },
};

import { NotFoundError, raw } from '@mikro-orm/core';
import { Post } from './post.ts';
import { PERSISTENT, type Strategy } from './strategy.ts';

/**
 * Relies on the database to read and write in one statement: it locks the row, reads its newest value and adds to it.
 * Breaks only when the new value needs more than the old one to be known.
 */
export const atomic: Strategy = {
  name: 'atomic',
  summary:
    'Lets the database add: UPDATE … SET like = like + 1, one statement and no transaction of its own.',
  claim: 'exact',
  // At repeatable read and above, a row that changed after our snapshot cannot be updated: 40001.
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

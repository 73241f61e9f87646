import { defineEntity, p } from '@mikro-orm/core';
import { Post } from '../likes/post.ts';
import { PERSISTENT, type Strategy } from '../likes/strategy.ts';

const LikeEntrySchema = defineEntity({
  name: 'LikeEntry',
  tableName: 'like_entries',
  properties: {
    pk: p.bigint().primary().generated('identity'),
    postPk: p
      .manyToOne(Post)
      .mapToPk()
      .fieldName('post_pk')
      .foreignKeyName('like_entries_post_pk_fkey')
      .deleteRule('cascade')
      .updateRule('no action')
      .index('like_entries_post_pk_idx'),
    likedAt: p
      .datetime()
      .defaultRaw('now()')
      .onCreate(() => new Date()),
  },
});

export class LikeEntry extends LikeEntrySchema.class {}
LikeEntrySchema.setClass(LikeEntry);

/**
 * Relies on inserts that do not wait for each other: every like is a row, which also records its time (and
 * could record its user). Costs a row for each like and a count on every read.
 */
export const ledger: Strategy = {
  name: 'ledger',
  summary: 'Inserts a row for each like, and counts the rows on read.',
  claim: 'exact',
  attempts: PERSISTENT,
  async increment(em, postPk) {
    await em.insert(LikeEntry, { postPk, likedAt: new Date() });
    return undefined;
  },
  count: (em, postPk) => em.count(LikeEntry, { postPk }),
};

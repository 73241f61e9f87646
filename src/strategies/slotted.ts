import { defineEntity, p, raw } from '@mikro-orm/core';
import { Post } from '../likes/post.ts';
import { PERSISTENT, type Strategy } from '../likes/strategy.ts';

const SLOTS = 16;

const LikeSlotSchema = defineEntity({
  name: 'LikeSlot',
  tableName: 'like_slots',
  properties: {
    postPk: p
      .manyToOne(Post)
      .primary()
      .mapToPk()
      .fieldName('post_pk')
      .foreignKeyName('like_slots_post_pk_fkey')
      .deleteRule('cascade')
      .updateRule('no action'),
    slot: p.integer().primary(),
    like: p.integer(),
  },
});

export class LikeSlot extends LikeSlotSchema.class {}
LikeSlotSchema.setClass(LikeSlot);

/**
 * Relies on spreading the likes of one post over several rows, so that few writers wait for the same one. Costs a sum
 * on every read, and no caller gets the count after its like.
 */
export const slotted: Strategy = {
  name: 'slotted',
  summary: 'Adds to one of several rows, picked at random, and sums them on read.',
  claim: 'exact',
  attempts: PERSISTENT,
  async increment(em, postPk) {
    await em
      .createQueryBuilder(LikeSlot)
      .insert({ postPk, slot: Math.floor(Math.random() * SLOTS), like: 1 })
      .onConflict(['postPk', 'slot'])
      .merge({ like: raw('like_slots."like" + 1') })
      .execute();
    return undefined;
  },
  async count(em, postPk) {
    const slots = await em.find(LikeSlot, { postPk }, { disableIdentityMap: true });
    return slots.reduce((sum, { like }) => sum + like, 0);
  },
};

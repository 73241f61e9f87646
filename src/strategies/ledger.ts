import { defineEntity, p } from '@mikro-orm/core';
import { PERSISTENT, type Strategy } from './strategy.ts';

const LikeEntrySchema = defineEntity({
  name: 'LikeEntry',
  tableName: 'like_entries',
  properties: {
    pk: p.bigint().primary(),
    postPk: p.integer(),
    likedAt: p.datetime().onCreate(() => new Date()),
  },
});

export class LikeEntry extends LikeEntrySchema.class {}
LikeEntrySchema.setClass(LikeEntry);

/**
 * Relies on inserts never waiting for each other: every like is a row, so it also says when (and could say whose).
 * Costs a row for each like and a count on every read.
 */
export const ledger: Strategy = {
  name: 'ledger',
  summary: 'Writes each like down as a row of its own, and counts the rows when somebody reads.',
  claim: 'exact',
  attempts: PERSISTENT,
  async increment(em, postPk) {
    await em.insert(LikeEntry, { postPk, likedAt: new Date() });
    return undefined;
  },
  count: (em, postPk) => em.count(LikeEntry, { postPk }),
};

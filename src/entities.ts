import { Post } from './likes/post.ts';
import { LikeEntry } from './strategies/ledger.ts';
import { LikeSlot } from './strategies/slotted.ts';

/** Every entity that MikroORM maps. */
export const entities = [Post, LikeSlot, LikeEntry];

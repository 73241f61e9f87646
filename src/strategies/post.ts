import { defineEntity, p } from '@mikro-orm/core';

/** The mapping of posts; a new one at each call, since a schema belongs to one class. */
export const newPostSchema = () =>
  defineEntity({
    name: 'Post',
    tableName: 'posts',
    properties: {
      pk: p.integer().primary(),
      like: p.integer().default(0),
      // How many likes there may be; null: any number.
      stock: p.integer().nullable(),
      // MikroORM adds `and version = …` to its own updates and refuses the flush if no row matched.
      version: p.integer().version(),
      modifiedAt: p
        .datetime()
        .onCreate(() => new Date())
        .onUpdate(() => new Date()),
    },
  });

const PostSchema = newPostSchema();

/** A post and its number of likes. */
export class Post extends PostSchema.class {}
PostSchema.setClass(Post);

/** The key of the post that the seed's endpoints increment. */
export const DEFAULT_POST = 1;

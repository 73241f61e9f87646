import { defineEntity, p } from '@mikro-orm/core';

/** The mapping of posts; each call returns a new one, because a schema belongs to one class. */
export const newPostSchema = () =>
  defineEntity({
    name: 'Post',
    tableName: 'posts',
    checks: [{ name: 'posts_stock', expression: '"like" <= stock' }],
    properties: {
      pk: p.integer().primary().generated('by default as identity'),
      like: p.integer().default(0),
      // The maximum number of likes; null: no maximum.
      stock: p.integer().nullable(),
      // MikroORM adds `and version = …` to its own updates and refuses the flush if no row matched.
      version: p.integer().version(),
      modifiedAt: p
        .datetime()
        .defaultRaw('now()')
        .onCreate(() => new Date())
        .onUpdate(() => new Date()),
    },
  });

const PostSchema = newPostSchema();

/** A post and its number of likes. */
export class Post extends PostSchema.class {}
PostSchema.setClass(Post);

/** The key of the post that the endpoints of the blog post increment. */
export const DEFAULT_POST = 1;

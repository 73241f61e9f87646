import { defineEntity, p } from '@mikro-orm/core';

/** How posts are mapped; anew at each call, since a schema belongs to one class. */
export const newPostSchema = () =>
  defineEntity({
    name: 'Post',
    tableName: 'posts',
    properties: {
      pk: p.integer().primary(),
      like: p.integer().default(0),
      // MikroORM adds `and version = …` to its own updates and refuses the flush when no row matched.
      version: p.integer().version(),
      modifiedAt: p
        .datetime()
        .onCreate(() => new Date())
        .onUpdate(() => new Date()),
    },
  });

const PostSchema = newPostSchema();

/** A post and how often it was liked. */
export class Post extends PostSchema.class {}
PostSchema.setClass(Post);

/** The post that the seed's endpoints count on. */
export const DEFAULT_POST = 1;

import { newPostSchema } from '../../likes/post.ts';

/** The table of the posts, as the migrations create it, with three posts. */
export const POSTS = `
  create table posts (
    pk integer primary key,
    "like" integer not null default 0,
    version integer not null default 1,
    modified_at timestamptz not null default '2026-01-01',
    stock integer
  );
  insert into posts (pk) values (1), (2), (3)`;

/**
 * Each call returns a new entity class for posts, because MikroORM instances that share a class all use the hydrator and
 * the configuration of the instance that was created last.
 */
export function newPostClass() {
  const schema = newPostSchema();
  class Post extends schema.class {}
  schema.setClass(Post);
  return Post;
}

export type PostClass = ReturnType<typeof newPostClass>;

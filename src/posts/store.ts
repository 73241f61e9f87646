import type { EntityManager } from '@mikro-orm/postgresql';
import { DEFAULT_POST, Post } from '../strategies/post.ts';

/**
 * Sets the default post's likes to 0, creating it where it is missing. The version moves on, so that an optimistic
 * increment that read before this is refused rather than written over it.
 */
export async function resetDefaultPost(em: EntityManager): Promise<void> {
  await em.execute(
    `insert into posts (pk, "like") values (?, 0)
     on conflict (pk) do update set "like" = 0, version = posts.version + 1, modified_at = now()`,
    [DEFAULT_POST],
  );
}

/**
 * The default post as it is now in the database, whatever the identity map holds. Where it is missing it is created,
 * whoever else is doing the same at the moment.
 */
export async function readDefaultPost(em: EntityManager): Promise<Post> {
  const post = await em.findOne(Post, DEFAULT_POST, { refresh: true });
  if (post) return post;
  await em.execute('insert into posts (pk) values (?) on conflict do nothing', [DEFAULT_POST]);
  return em.findOneOrFail(Post, DEFAULT_POST);
}

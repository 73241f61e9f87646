import type { EntityManager } from '@mikro-orm/postgresql';
import { qualified } from '../database/qualified.ts';
import { DEFAULT_POST, Post } from '../likes/post.ts';

/**
 * Sets the likes of the default post to 0, creating the post if it is missing. The version is raised, so that an
 * optimistic increment that read before the reset is refused instead of overwriting it.
 */
export async function resetDefaultPost(em: EntityManager): Promise<void> {
  await em.execute(
    `insert into ${qualified(em.config, 'posts')} as posts (pk, "like") values (?, 0)
     on conflict (pk) do update set "like" = 0, version = posts.version + 1, modified_at = now()`,
    [DEFAULT_POST],
  );
}

/**
 * Reads the default post from the database, whatever the identity map holds. Creates it if it is missing, also when
 * another session does so at the same time.
 */
export async function readDefaultPost(em: EntityManager): Promise<Post> {
  const post = await em.findOne(Post, DEFAULT_POST, { refresh: true });
  if (post) return post;
  const posts = qualified(em.config, 'posts');
  await em.execute(`insert into ${posts} (pk) values (?) on conflict do nothing`, [DEFAULT_POST]);
  return em.findOneOrFail(Post, DEFAULT_POST);
}

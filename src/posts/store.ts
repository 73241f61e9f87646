import type { EntityManager } from '@mikro-orm/postgresql';
import { DEFAULT_POST, Post } from './post.ts';

/** Makes sure that the default post exists, whoever else is doing the same at the moment. */
export async function ensureDefaultPost(em: EntityManager): Promise<void> {
  await em.execute('insert into posts (pk) values (?) on conflict do nothing', [DEFAULT_POST]);
}

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

/** The default post as it is now in the database, whatever the identity map holds. */
export async function readDefaultPost(em: EntityManager): Promise<Post> {
  return em.findOneOrFail(Post, DEFAULT_POST, { refresh: true });
}

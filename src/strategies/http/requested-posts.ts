import type { EntityManager } from '@mikro-orm/postgresql';
import { qualified } from '../../database/qualified.ts';
import { Problem } from '../../errors/problem.ts';
import { Post } from '../../likes/post.ts';

/** The lowest key of a post that a request created. Requests cannot change posts with lower keys. */
export const FIRST_REQUESTED = 1_000_000_000;

/** The maximum number of posts created by requests, over all replicas; posts that are being incremented may exceed it. */
export const REQUESTED_MAX = 1000;

/**
 * Creates a post to count on, and deletes the oldest posts above the limit, except those that are being incremented. If
 * new posts were refused instead, a single client could lock out all others.
 *
 * @returns its key
 */
export async function makePost(em: EntityManager): Promise<number> {
  const posts = qualified(em.config, 'posts');
  const [made] = await em.execute<{ pk: number }[]>(
    `insert into ${posts} (pk) values (nextval(?)) returning pk`,
    [qualified(em.config, 'requested_posts')],
  );
  await em.execute(
    `delete from ${posts} where pk in (
       select pk from ${posts} where pk between ? and
         (select pk from ${posts} where pk >= ? order by pk desc offset ? limit 1)
       order by pk for update skip locked)`,
    [FIRST_REQUESTED, FIRST_REQUESTED, REQUESTED_MAX],
  );
  if (!made) throw new TypeError('no key');
  return made.pk;
}

/** @throws {Problem} `not_found` when there is no such post */
export async function removePost(em: EntityManager, pk: number): Promise<void> {
  if ((await em.nativeDelete(Post, pk)) === 0) throw new Problem('not_found', `there is no post ${pk}`);
}

import { defineEntity, p } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { Experiment } from '../bench/experiment.ts';
import { endingOf, likesOf } from '../bench/outcome.ts';
import { newPostClass, POSTS } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';
import { type Cache, withCache } from './cache.ts';

/** The same table, mapped without a version property. */
function newUnversionedClass() {
  const properties = { pk: p.integer().primary(), like: p.integer() };
  const schema = defineEntity({ name: 'UnversionedPost', tableName: 'posts', properties });
  class UnversionedPost extends schema.class {}
  schema.setClass(UnversionedPost);
  return UnversionedPost;
}

/** The cached fields of a post. */
interface CachedPost {
  pk: number;
  like: number;
  version?: number;
}

/** A post is cached, another session adds 100 likes, and the cached state is merged, changed and flushed. */
async function writeBack(
  scratch: Scratch,
  { keyv }: Cache,
  em: EntityManager,
  read: (em: EntityManager) => Promise<object>,
  merge: (em: EntityManager, cached: CachedPost) => { like: number },
) {
  await scratch.outside.query('update posts set "like" = 0, version = 1');
  await keyv.set('post', await read(em.fork()));
  await scratch.outside.query('update posts set "like" = "like" + 100, version = version + 1 where pk = 1');
  const cached = await keyv.get<CachedPost>('post');
  const fork = em.fork();
  if (cached) merge(fork, cached).like += 1;
  return { flush: await endingOf(fork.flush()), like: (await likesOf(scratch.outside))[0] };
}

export const staleWrite: Experiment = {
  name: 'stale-write',
  claim:
    'Merging cached state and flushing it overwrites everything written since it was cached; with a version property, the flush is refused.',
  cure: `
const PostSchema = defineEntity({
  name: 'Post',
  properties: {
    pk: p.integer().primary(),
    like: p.integer(),
    version: p.integer().version(), // a write with an old version is refused
  },
});`,
  setup: POSTS,
  run: (scratch) =>
    withCache(scratch, async (cache) => {
      const [Unversioned, Post] = [newUnversionedClass(), newPostClass()];
      scratch.timeline.part = 'without a version';
      const unversioned = await writeBack(
        scratch,
        cache,
        scratch.orm([Unversioned]).em,
        (em) => em.findOneOrFail(Unversioned, 1),
        (em, post) => em.merge(Unversioned, post),
      );
      scratch.timeline.part = 'with a version';
      const versioned = await writeBack(
        scratch,
        cache,
        scratch.orm([Post]).em,
        (em) => em.findOneOrFail(Post, 1),
        (em, post) => em.merge(Post, post),
      );
      const holds =
        unversioned.flush === 'done' &&
        unversioned.like === 1 &&
        versioned.flush === 'refused' &&
        versioned.like === 100;
      const figures = { cache: cache.kind, unversioned, versioned };
      return { holds, figures };
    }),
};

import { deserialize, serialize } from 'node:v8';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { Experiment } from '../bench/experiment.ts';
import { endingOf, likesOf } from '../bench/outcome.ts';
import { newPostClass, type PostClass, POSTS } from '../bench/post-table.ts';
import { withCache } from './cache.ts';

/** Describes a value that was read from a cache. */
function describe(value: unknown, Post: PostClass, em: EntityManager) {
  const fields = typeof value === 'object' && value !== null ? value : {};
  return {
    keys: Object.keys(fields).toSorted().join(' '),
    is_a_post: value instanceof Post,
    is_managed: em.getUnitOfWork().getIdentityMap().values().includes(fields),
    date_is:
      'modifiedAt' in fields ? Object.prototype.toString.call(fields.modifiedAt).slice(8, -1) : 'missing',
  };
}

export const roundTrip: Experiment = {
  name: 'round-trip',
  claim:
    'An entity can be put into a cache without an error, even after its EntityManager was cleared, but is read back as a plain object, without its class and with dates as text, and changes to it are never saved.',
  cure: `
// A plain value with the fields that are needed, never the entity.
const { pk, like, modifiedAt } = await em.findOneOrFail(Post, 1);
const value = { pk, like, modified_at: modifiedAt.toISOString() };
await cache.set('post 1', value, 60_000);`,
  setup: POSTS,
  run: (scratch) =>
    withCache(scratch, async ({ keyv, kind }) => {
      const Post = newPostClass();
      const em = scratch.orm([Post]).em.fork();
      const post = await em.findOneOrFail(Post, 1);
      // The error of the blog post: the state still existed, but the instance that it tracked had been garbage-collected.
      em.clear();
      const set = await endingOf(keyv.set('post', post));
      const cached = await keyv.get<Record<string, unknown>>('post');
      const forms = {
        [kind]: describe(cached, Post, em),
        'spread, as __dict__ in the post': describe(Object.assign({}, post), Post, em),
        structuredClone: describe(structuredClone(post), Post, em),
        'v8.serialize': describe(deserialize(serialize(post)), Post, em),
      };
      if (cached) cached.like = 100;
      await em.flush();
      const figures = {
        cache: kind,
        set,
        forms,
        like_after_changing_it: (await likesOf(scratch.outside))[0],
      };
      const holds =
        set === 'done' &&
        Object.values(forms).every(
          (form) => form.keys === 'like modifiedAt pk stock version' && !form.is_a_post && !form.is_managed,
        ) &&
        forms[kind]?.date_is === 'String' &&
        forms['v8.serialize'].date_is === 'Date' &&
        figures.like_after_changing_it === 0;
      return { holds, figures };
    }),
};

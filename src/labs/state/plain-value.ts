import type { Experiment } from '../bench/experiment.ts';
import { newPostClass, POSTS } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';
import { type Cache, withCache } from './cache.ts';
import { readThrough } from './read-through.ts';

/** The time to live of the blog post. */
const TTL_MS = 60_000;

/** The public fields of a post, in forms that survive JSON. */
interface PostView {
  pk: number;
  like: number;
  modified_at: string;
}

async function useCache(scratch: Scratch, { keyv }: Cache) {
  const Post = newPostClass();
  const { em } = scratch.orm([Post]);
  const posts = readThrough<PostView>(keyv, TTL_MS, async (pk) => {
    const post = await em.fork().findOne(Post, Number(pk));
    return post ? { pk: post.pk, like: post.like, modified_at: post.modifiedAt.toISOString() } : undefined;
  });
  const statements = () => scratch.timeline.entries.length;
  const first = await posts.get('1');
  const expiresAt = (await keyv.getRaw('1'))?.expires ?? 0;
  const afterFirst = statements();
  const second = await posts.get('1');
  const hits = statements() - afterFirst;
  const unknown = await posts.get('9');
  const unknownCached = await keyv.has('9');
  await scratch.outside.query('insert into posts (pk, "like") values (9, 9)');
  const created = await posts.get('9');
  await scratch.outside.query('update posts set "like" = 100 where pk = 1');
  const beforeForgetting = (await posts.get('1'))?.like;
  await posts.forget('1');
  return {
    first,
    second,
    ttl_ms: expiresAt - Date.now(),
    statements_of_the_second: hits,
    unknown: unknown ?? null,
    unknown_is_cached: unknownCached,
    once_it_exists: created?.like,
    after_a_write: beforeForgetting,
    after_forgetting: (await posts.get('1'))?.like,
  };
}

export const plainValue: Experiment = {
  name: 'plain-value',
  claim:
    'A plain value with a time to live of 60 s can be cached safely: the second read needs no query, missing rows are not cached, and invalidating the key after a commit makes the write visible at once.',
  cure: `
const posts = readThrough(cache, 60_000, async (pk) => {
  const post = await orm.em.fork().findOne(Post, Number(pk));
  // Missing rows are not cached.
  return post ? { pk: post.pk, like: post.like } : undefined;
});
await posts.get('1');
await posts.forget('1'); // after a write has been committed`,
  setup: POSTS,
  run: (scratch) =>
    withCache(scratch, async (cache) => {
      const seen = await useCache(scratch, cache);
      const holds =
        JSON.stringify(seen.first) === JSON.stringify(seen.second) &&
        seen.statements_of_the_second === 0 &&
        seen.ttl_ms > 0 &&
        seen.ttl_ms <= TTL_MS &&
        !seen.unknown_is_cached &&
        seen.once_it_exists === 9 &&
        seen.after_a_write === 0 &&
        seen.after_forgetting === 100;
      const figures = { cache: cache.kind, ...seen };
      return { holds, figures };
    }),
};

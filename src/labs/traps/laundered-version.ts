import type { EntityManager } from '@mikro-orm/postgresql';
import { endingOf, likesOf } from '../bench/outcome.ts';
import { newPostClass } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';
import { experimentOf } from './trap.ts';

/** An EntityManager changes a post, another session commits a change to it, and the first reads it again and flushes. */
async function readAgain(scratch: Scratch, reader: (em: EntityManager) => EntityManager) {
  const Post = newPostClass();
  const em = scratch.orm([Post]).em.fork();
  const post = await em.findOneOrFail(Post, 1);
  post.like += 1;
  await scratch.outside.query('update posts set "like" = 100, version = version + 1 where pk = 1');
  await reader(em).find(Post, { pk: 1 });
  const { version } = post;
  const flush = await endingOf(em.flush());
  return { version_after_reading_again: version, flush, like: (await likesOf(scratch.outside))[0] };
}

export const launderedVersion = experimentOf({
  name: 'laundered-version',
  claim:
    'Reading an entity with unsaved changes again keeps the changes but takes the new version: the flush passes the version check and overwrites another session’s write.',
  expectation: 'The changes were made to the old version, so the flush is refused.',
  guard:
    'A change is flushed before anything else is read on the same EntityManager; reads in between use a fork.',
  cure: `
const post = await em.findOneOrFail(Post, pk);
post.like += 1;
await em.flush(); // before anything else is read here
// Reads in between use a fork.
const others = await em.fork().find(Post, {});`,
  async fallInto(scratch) {
    const figures = await readAgain(scratch, (em) => em);
    return { seen: figures.flush === 'done' && figures.like === 1, figures };
  },
  async avoid(scratch) {
    const figures = await readAgain(scratch, (em) => em.fork());
    return { seen: figures.flush === 'refused' && figures.like === 100, figures };
  },
});

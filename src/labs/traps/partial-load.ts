import { endingOf, likesOf } from '../bench/outcome.ts';
import { newPostClass } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';
import { experimentOf } from './trap.ts';

async function flushAfter(scratch: Scratch, fields: ('like' | 'version')[]) {
  const Post = newPostClass();
  const em = scratch.orm([Post]).em.fork();
  const post = await em.findOneOrFail(Post, 1, { fields });
  await scratch.outside.query('update posts set "like" = 100, version = version + 1 where pk = 1');
  post.like += 1;
  return { fields, flush: await endingOf(em.flush()), like: (await likesOf(scratch.outside))[0] };
}

export const partialLoad = experimentOf({
  name: 'partial-load',
  claim: 'An entity that was loaded partially, without its version, is flushed without a version check.',
  expectation: 'A versioned entity is never written, or never loaded, without its version.',
  guard: 'Entities that will be changed are loaded in full, or with the version among the fields.',
  cure: `
const post = await em.findOneOrFail(Post, pk, { fields: ['like', 'version'] });
post.like += 1;
await em.flush(); // update … where pk = 1 and version = 1`,
  async fallInto(scratch) {
    const figures = await flushAfter(scratch, ['like']);
    return { seen: figures.flush === 'done' && figures.like === 1, figures };
  },
  async avoid(scratch) {
    const figures = await flushAfter(scratch, ['like', 'version']);
    return { seen: figures.flush === 'refused' && figures.like === 100, figures };
  },
});

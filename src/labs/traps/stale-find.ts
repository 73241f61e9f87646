import { newPostClass } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';
import { experimentOf } from './trap.ts';

async function readTwice(scratch: Scratch, refresh: boolean) {
  const Post = newPostClass();
  const em = scratch.orm([Post]).em.fork();
  await em.findOneOrFail(Post, 1);
  await scratch.outside.query('update posts set "like" = 100, version = version + 1 where pk = 1');
  const { length } = scratch.timeline.entries;
  const { like } = await em.findOneOrFail(Post, 1, { refresh });
  return { like, statements: scratch.timeline.entries.length - length };
}

export const staleFind = experimentOf({
  name: 'stale-find',
  claim:
    'A findOne by the primary key of an entity that was read before sends no query: it returns the state of the first read.',
  expectation: 'A find queries the database.',
  guard: 'A fork for each unit of work, and refresh: true where a request reads an entity again.',
  cure: 'const post = await em.findOneOrFail(Post, pk, { refresh: true });',
  async fallInto(scratch) {
    const figures = await readTwice(scratch, false);
    return { seen: figures.like === 0 && figures.statements === 0, figures };
  },
  async avoid(scratch) {
    const figures = await readTwice(scratch, true);
    return { seen: figures.like === 100, figures };
  },
});

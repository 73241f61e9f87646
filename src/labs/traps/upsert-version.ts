import { endingOf } from '../bench/outcome.ts';
import { newPostClass, type PostClass } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';
import { experimentOf } from './trap.ts';

/** One session reads a post, another writes it in the given way, and the first one flushes. */
async function writeBetween(scratch: Scratch, write: (em: Manager, Post: PostClass) => Promise<unknown>) {
  const Post = newPostClass();
  const { em } = scratch.orm([Post]);
  const reader = em.fork();
  const post = await reader.findOneOrFail(Post, 1);
  await write(em.fork(), Post);
  const { rows } = await scratch.outside.query<{ version: number }>('select version from posts where pk = 1');
  post.like += 1;
  return { version_after_the_write: rows[0]?.version, flush_of_the_reader: await endingOf(reader.flush()) };
}

type Manager = ReturnType<Scratch['orm']>['em'];

export const upsertVersion = experimentOf({
  name: 'upsert-version',
  claim:
    'An em.upsert() of a versioned entity neither checks nor raises the version: a concurrent optimistic writer overwrites it.',
  expectation: 'Every write of a versioned entity raises its version.',
  guard: 'No upsert of versioned entities; nativeUpdate and the query builder raise the version.',
  cure: `
// Raises the version, so that a concurrent optimistic writer is refused.
await em.nativeUpdate(Post, pk, { like: 100, modifiedAt: new Date() });`,
  async fallInto(scratch) {
    const figures = await writeBetween(scratch, (em, Post) => em.upsert(Post, { pk: 1, like: 100 }));
    return { seen: figures.version_after_the_write === 1 && figures.flush_of_the_reader === 'done', figures };
  },
  async avoid(scratch) {
    const figures = await writeBetween(scratch, (em, Post) => em.nativeUpdate(Post, 1, { like: 100 }));
    return {
      seen: figures.version_after_the_write === 2 && figures.flush_of_the_reader === 'refused',
      figures,
    };
  },
});

import { endingOf, likesOf } from '../bench/outcome.ts';
import { newPostClass } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';
import { experimentOf } from './trap.ts';

/** Two sessions add 1 to the same two posts, each in one flush; the second writes before the first has committed. */
async function twoFlushes(scratch: Scratch, useBatchUpdates: boolean) {
  const Post = newPostClass();
  const { em } = scratch.orm([Post], {}, { useBatchUpdates });
  const [first, second] = [em.fork(), em.fork()];
  for (const one of [first, second]) for (const post of await one.find(Post, [1, 2])) post.like += 1;
  await first.begin();
  await scratch.timeline.as('first', () => first.flush());
  const ending = scratch.timeline.as('second', () => endingOf(second.flush()));
  await scratch.observer.untilBlocked(1);
  await first.commit();
  return { first: 'done', second: await ending, likes: (await likesOf(scratch.outside)).slice(0, 2) };
}

export const batchedFlush = experimentOf({
  name: 'batched-flush',
  claim:
    'A flush with two or more changed entities of one class checks their versions before the write and not in it: an update is lost without an error.',
  expectation: 'The version property refuses the second of two writers, however many entities they flush.',
  guard: 'useBatchUpdates: false, so that each UPDATE carries its version.',
  cure: `
const orm = new MikroORM({
  clientUrl,
  entities,
  useBatchUpdates: false, // each UPDATE then carries its version
});`,
  async fallInto(scratch) {
    const figures = await twoFlushes(scratch, true);
    return { seen: figures.second === 'done' && figures.likes.join() === '1,1', figures };
  },
  async avoid(scratch) {
    const figures = await twoFlushes(scratch, false);
    return { seen: figures.second === 'refused' && figures.likes.join() === '1,1', figures };
  },
});

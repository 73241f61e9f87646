import type { EntityManager } from '@mikro-orm/postgresql';
import { ending, likesOf } from '../bench/outcome.ts';
import { meetingOf } from '../bench/barriers.ts';
import { newPostClass } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';
import { experimentOf } from './trap.ts';

/** Three concurrent tasks, each with begin, an increment of a different post, and commit. */
async function threeTasks(scratch: Scratch, name: string, managerOf: (em: EntityManager) => EntityManager) {
  const Post = newPostClass();
  const shared = scratch.orm([Post], { name }).em.fork();
  const [begun, written] = [meetingOf(3), meetingOf(3)];
  const task = async (pk: number) => {
    const em = managerOf(shared);
    await em.begin();
    await begun();
    await em.nativeUpdate(Post, pk, { like: 1 });
    await written();
    await em.commit();
  };
  const ends = await Promise.allSettled(
    [1, 2, 3].map((pk) => scratch.timeline.as(`task ${pk}`, () => task(pk))),
  );
  const backends = (await scratch.observer.poll()).filter((backend) => backend.name === name);
  return {
    tasks: ends.map(ending),
    likes: await likesOf(scratch.outside),
    idle_in_transaction: backends.filter(({ state }) => state?.startsWith('idle in transaction')).length,
  };
}

export const parallelBegin = experimentOf({
  name: 'parallel-begin',
  claim:
    'Three tasks that begin, write and commit concurrently on one EntityManager all write in the transaction that was begun last; the connections of the other two stay idle in transaction.',
  expectation: 'Three transactions, or an error at the second begin.',
  guard: 'A fork for each task.',
  cure: `
const task = (pk: number) =>
  em.fork().transactional((tx) => tx.nativeUpdate(Post, pk, { like: 1 }));
await Promise.all(pks.map(task));`,
  async fallInto(scratch) {
    const figures = await threeTasks(scratch, 'shared', (em) => em);
    return { seen: figures.idle_in_transaction === 2, figures };
  },
  async avoid(scratch) {
    const figures = await threeTasks(scratch, 'forks', (em) => em.fork());
    return { seen: figures.likes.join() === '1,1,1' && figures.idle_in_transaction === 0, figures };
  },
});

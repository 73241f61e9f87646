import { ending, likesOf } from '../bench/outcome.ts';
import { newPostClass } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';
import { experimentOf } from './trap.ts';

type Work = () => Promise<unknown>;

/** Within one transaction, three nested ones add 1 to a post each; the second then fails. */
async function threeNested(
  scratch: Scratch,
  all: (works: Work[]) => Promise<PromiseSettledResult<unknown>[]>,
) {
  const Post = newPostClass();
  const em = scratch.orm([Post]).em.fork();
  const ends = await em.transactional((outer) => {
    const nested = [1, 2, 3].map(
      (pk) => () =>
        scratch.timeline.as(`task ${pk}`, () =>
          outer.transactional(async (inner) => {
            await inner.nativeUpdate(Post, pk, { like: 1 });
            if (pk === 2) throw new Error('this one fails');
          }),
        ),
    );
    return all(nested);
  });
  return { tasks: ends.map(ending), likes: await likesOf(scratch.outside) };
}

export const savepointNames = experimentOf({
  name: 'savepoint-names',
  claim:
    'Nested transactions that run in parallel all name their savepoint trx1: one that fails rolls back the others, which nevertheless report success.',
  expectation: 'Each nested transaction is kept or rolled back independently: the likes are 1, 0, 1.',
  guard:
    'Nested transactions run one after another; parallel work gets a fork, and thus a transaction, for each task.',
  cure: `
// Nested: one after another, so that no two savepoints exist at the same time.
for (const pk of pks) {
  await tx.transactional((inner) => like(inner, pk));
}
// In parallel: a fork, and thus a transaction, for each task.
const task = (pk: number) => em.fork().transactional((own) => like(own, pk));
await Promise.all(pks.map(task));`,
  async fallInto(scratch) {
    const figures = await threeNested(scratch, (works) => Promise.allSettled(works.map((work) => work())));
    const fulfilled = figures.tasks.filter((end) => end === 'done').length;
    return { seen: fulfilled > figures.likes.filter((like) => like === 1).length, figures };
  },
  async avoid(scratch) {
    const figures = await threeNested(scratch, async (works) => {
      const ends: PromiseSettledResult<unknown>[] = [];
      for (const work of works) ends.push(...(await Promise.allSettled([work()])));
      return ends;
    });
    return { seen: figures.likes.join() === '1,0,1', figures };
  },
});

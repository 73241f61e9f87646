import type { EntityManager } from '@mikro-orm/postgresql';
import { endingOf } from '../bench/outcome.ts';
import { newPostClass } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';
import { experimentOf } from './trap.ts';

/** Round trips to the server after which what has not been answered will not be: nothing is under way any more. */
const PATIENCE = 20;

/** Two flushes at once, on managers that read the post before somebody else changed it. */
async function twoFlushes(scratch: Scratch, managerOf: (em: EntityManager) => EntityManager) {
  const Post = newPostClass();
  const shared = scratch.orm([Post]).em.fork();
  const managers = [managerOf(shared), managerOf(shared)];
  for (const em of managers) (await em.findOneOrFail(Post, 1)).like += 1;
  await scratch.outside.query('update posts set version = version + 1 where pk = 1');
  const [first = '', second = ''] = managers.map((em) => endingOf(em.flush()));
  return { em: shared, first: await first, second };
}

export const hangingFlush = experimentOf({
  name: 'hanging-flush',
  claim:
    'A flush that waits for another one on the same EntityManager is forgotten when that one fails: it never ends, until somebody flushes again.',
  expectation: 'The waiting flush runs, or fails as well.',
  guard: 'A fork for each task: no flush waits for another one.',
  cure: `
const task = async (pk: number) => {
  const fork = em.fork(); // its flush waits for nobody else's
  (await fork.findOneOrFail(Post, pk)).like += 1;
  await fork.flush();
};`,
  async fallInto(scratch) {
    const { em, first, second } = await twoFlushes(scratch, (shared) => shared);
    let answer = 'none';
    const answered = (async () => {
      answer = await second;
    })();
    for (let i = 0; i < PATIENCE; i += 1) await em.execute('select 1');
    const seen = first === 'refused' && answer === 'none';
    // The next flush that succeeds takes the forgotten one along, which by now has nothing to write.
    em.clear();
    await em.flush();
    await answered;
    return { seen, figures: { first, second: seen ? 'none' : answer, second_after_another_flush: answer } };
  },
  async avoid(scratch) {
    const { first, second } = await twoFlushes(scratch, (shared) => shared.fork());
    const figures = { first, second: await second };
    return { seen: first === 'refused' && figures.second === 'refused', figures };
  },
});

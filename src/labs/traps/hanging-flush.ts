import type { EntityManager } from '@mikro-orm/postgresql';
import { endingOf } from '../bench/outcome.ts';
import { newPostClass } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';
import { experimentOf } from './trap.ts';

/** The number of round trips after which an unanswered flush counts as hanging: no statement is in flight any more. */
const ROUND_TRIPS = 20;

/** Two concurrent flushes on EntityManagers that read the post before another session changed it. */
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
    'A flush that waits for another one on the same EntityManager is forgotten when that one fails: it hangs until the next flush.',
  expectation: 'The waiting flush runs, or fails as well.',
  guard: 'A fork for each task: no flush waits for another one.',
  cure: `
const task = async (pk: number) => {
  const fork = em.fork(); // its flush does not wait for those of other tasks
  (await fork.findOneOrFail(Post, pk)).like += 1;
  await fork.flush();
};`,
  async fallInto(scratch) {
    const { em, first, second } = await twoFlushes(scratch, (shared) => shared);
    let answer = 'none';
    const answered = (async () => {
      answer = await second;
    })();
    for (let i = 0; i < ROUND_TRIPS; i += 1) await em.execute('select 1');
    const seen = first === 'refused' && answer === 'none';
    // The next successful flush also completes the forgotten one, which has nothing left to write.
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

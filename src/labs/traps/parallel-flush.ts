import type { EntityManager } from '@mikro-orm/postgresql';
import { retry } from '../../concurrency/retry.ts';
import { isConflict } from '../../database/failure.ts';
import { ending, likesOf } from '../bench/outcome.ts';
import { newPostClass, type PostClass } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';
import { experimentOf } from './trap.ts';

const RETRY = { attemptsMax: 50, elapsedMsMax: 5000, delayMsBase: 1, delayMsMax: 16, retryable: isConflict };

async function increment(em: EntityManager, Post: PostClass): Promise<void> {
  const post = await em.findOneOrFail(Post, 1);
  post.like += 1;
  await em.flush();
}

const incrementOnFork = (em: EntityManager, Post: PostClass) =>
  retry(() => increment(em.fork(), Post), RETRY);

/** Three concurrent tasks find, add 1 and flush; the row is locked until the first of them has begun to write. */
async function threeTasks(
  scratch: Scratch,
  add: (em: EntityManager, Post: PostClass) => Promise<void>,
  writersAtOnce: number,
) {
  const Post = newPostClass();
  const shared = scratch.orm([Post]).em.fork();
  const holder = await scratch.connect('holder');
  await holder.query('begin; select from posts where pk = 1 for update');
  // Settled from the start: one that fails may do so before the others are awaited.
  const start = (task: number) =>
    Promise.allSettled([scratch.timeline.as(`task ${task}`, () => add(shared, Post))]);
  const first = start(1);
  await scratch.observer.untilBlocked(1);
  const others = [2, 3].map(start);
  await scratch.observer.untilBlocked(writersAtOnce);
  await holder.query('commit');
  const ends = (await Promise.all([first, ...others])).flat();
  return { tasks: ends.map(ending), like: (await likesOf(scratch.outside))[0] };
}

export const parallelFlush = experimentOf({
  name: 'parallel-flush',
  claim:
    'Changes made during a flush of the same EntityManager are treated as saved: three concurrent tasks that find, add 1 and flush all succeed, but fewer than three increments are counted.',
  expectation: 'The flushes are queued, so that all three increments are counted.',
  guard: 'A fork for each task, and a retry when it is refused.',
  cure: `
const increment = () =>
  retry(async () => {
    const fork = em.fork(); // one for each task, and for each attempt
    (await fork.findOneOrFail(Post, pk)).like += 1;
    await fork.flush();
  }, policy);
await Promise.all([increment(), increment(), increment()]);`,
  async fallInto(scratch) {
    const figures = await threeTasks(scratch, increment, 1);
    return { seen: figures.tasks.every((end) => end === 'done') && figures.like !== 3, figures };
  },
  async avoid(scratch) {
    const figures = await threeTasks(scratch, incrementOnFork, 3);
    return { seen: figures.like === 3, figures };
  },
});

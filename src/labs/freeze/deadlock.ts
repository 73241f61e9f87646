import { transactional } from '../bench/transactional.ts';
import type { Experiment } from '../bench/experiment.ts';
import { ROWS, T1, T2, TABLE } from '../bench/sessions.ts';
import { transcript } from '../bench/transcript.ts';
import { meetingOf } from '../bench/barriers.ts';
import { ending, likesOf } from '../bench/outcome.ts';
import { newPostClass, POSTS } from '../bench/post-table.ts';
import { Stepper, type Step } from '../bench/schedule.ts';
import type { Scratch } from '../bench/scratch.ts';

const RETRY = { attemptsMax: 10, elapsedMsMax: 10_000, delayMsBase: 2, delayMsMax: 50 };

const crossed = [T1.write(1, 11), T2.write(2, 22), T1.write(2, 12), T2.write(1, 21), T1.commit, T2.commit];
const ordered = [T1.write(1, 11), T2.write(1, 21), T1.write(2, 12), T1.commit, T2.write(2, 22), T2.commit];

async function schedule(scratch: Scratch, stepper: Stepper, part: string, steps: Step[]) {
  await scratch.outside.query(ROWS);
  scratch.timeline.part = part;
  return transcript(await stepper.run([T1.begin, T2.begin, ...steps]));
}

/** Two tasks like two posts in opposite order and meet in between, so that their first attempts deadlock. */
async function retried(scratch: Scratch) {
  scratch.timeline.part = 'crossed, and retried';
  const first = scratch.timeline.entries.length;
  const Post = newPostClass();
  const { em } = scratch.orm([Post]);
  const meet = meetingOf(2);
  let attempts = 0;
  const likeBoth = transactional(
    async (tx, pks: number[]) => {
      attempts += 1;
      for (const pk of pks) {
        const post = await tx.findOneOrFail(Post, pk);
        post.like += 1;
        await tx.flush();
        // A retry does not wait here: all have already arrived.
        await meet();
      }
    },
    { retry: RETRY },
  );
  const orders = [
    [1, 2],
    [2, 1],
  ];
  const ends = await Promise.allSettled(
    orders.map((pks) => scratch.timeline.as(`task ${pks.join(' ')}`, () => likeBoth(em.fork(), pks))),
  );
  const deadlocks = scratch.timeline.entries
    .slice(first)
    .filter(({ sqlstate }) => sqlstate === '40P01').length;
  const likes = (await likesOf(scratch.outside)).slice(0, 2);
  return { tasks: ends.map(ending), attempts, deadlocks, likes };
}

export const deadlock: Experiment = {
  name: 'deadlock',
  claim:
    'When two transactions wait for each other, the server refuses one of them with 40P01. Writing in the same order avoids the deadlock; retrying the refused transaction as a whole resolves it.',
  cure: `
const likeAll = transactional(
  async (tx, pks: number[]) => {
    // The same order in every transaction, so that no cycle of waits can arise.
    for (const pk of pks.toSorted((a, b) => a - b)) await like(tx, pk);
  },
  { retry }, // for the deadlocks that remain
);`,
  setup: `${TABLE}; ${POSTS}`,
  async run(scratch) {
    const stepper = new Stepper(scratch);
    const figures = {
      crossed: await schedule(scratch, stepper, 'crossed', crossed),
      ordered: await schedule(scratch, stepper, 'in one order', ordered),
      retried: await retried(scratch),
    };
    const holds =
      /^T1 ⏸ T2.*T2 ⏸ T1/.test(figures.crossed) &&
      figures.crossed.match(/40P01/g)?.length === 1 &&
      figures.ordered === 'T2 ⏸ T1' &&
      figures.retried.tasks.every((end) => end === 'done') &&
      figures.retried.deadlocks === 1 &&
      figures.retried.attempts > 2 &&
      figures.retried.likes.join() === '2,2';
    return { holds, figures };
  },
};

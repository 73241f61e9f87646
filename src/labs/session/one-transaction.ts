import type { Experiment } from '../bench/experiment.ts';
import { closeGate, PASS_GATE } from '../bench/barriers.ts';
import { blocked } from '../bench/observer.ts';
import { ending, endingOf, likesOf } from '../bench/outcome.ts';
import { newPostClass, POSTS } from '../bench/post-table.ts';
import { different, probe } from '../bench/probe.ts';
import type { Scratch } from '../bench/scratch.ts';

/** Counts how many of three tasks in one transaction wait at a closed gate at the same time. */
async function atOnce(scratch: Scratch) {
  scratch.timeline.part = 'at once';
  const orm = scratch.orm([newPostClass()]);
  const openGate = await closeGate(scratch);
  const work = orm.em.fork().transactional((tx) =>
    Promise.all(
      [1, 2, 3].map((task) =>
        scratch.timeline.as(`task ${task}`, async () => {
          await tx.execute(PASS_GATE);
          return probe(tx);
        }),
      ),
    ),
  );
  const waiting = blocked(await scratch.observer.untilBlocked(1));
  await openGate();
  const probes = await work;
  return {
    waiting_at_once: waiting.length,
    backends: different(probes.map(({ backend }) => backend)),
    transactions: different(probes.map(({ transaction }) => transaction)),
  };
}

/** Three tasks of one transaction each write a post; the second one fails. */
async function oneFails(scratch: Scratch) {
  scratch.timeline.part = 'one fails';
  const Post = newPostClass();
  const ends: string[] = [];
  const transaction = scratch
    .orm([Post])
    .em.fork()
    .transactional(async (tx) => {
      const writes = [1, 2, 3].map((pk) =>
        scratch.timeline.as(`task ${pk}`, () =>
          pk === 2 ? tx.execute('select 1 / 0') : tx.nativeUpdate(Post, pk, { like: 1 }),
        ),
      );
      ends.push(...(await Promise.allSettled(writes)).map(ending));
    });
  return { tasks: ends, transaction: await endingOf(transaction), likes: await likesOf(scratch.outside) };
}

export const oneTransaction: Experiment = {
  name: 'one-transaction',
  claim:
    'Parallel tasks cannot share a transaction: it runs on one backend, which executes one statement at a time, and a task that fails makes the others fail.',
  cure: `
// All or nothing: one after another, in one transaction.
await em.transactional(async (tx) => {
  for (const task of tasks) await task(tx);
});
// In parallel: a transaction for each.
await Promise.all(tasks.map((task) => em.fork().transactional(task)));`,
  setup: POSTS,
  async run(scratch) {
    const together = await atOnce(scratch);
    const failing = await oneFails(scratch);
    const holds =
      together.waiting_at_once === 1 &&
      together.backends === 1 &&
      together.transactions === 1 &&
      failing.tasks[1] === '22012' &&
      failing.tasks.includes('25P02') &&
      failing.likes.join() === '0,0,0';
    const figures = { at_once: together, one_fails: failing };
    return { holds, figures };
  },
};

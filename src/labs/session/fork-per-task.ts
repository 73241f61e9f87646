import type { Experiment } from '../bench/experiment.ts';
import { closeGate, PASS_GATE } from '../bench/barriers.ts';
import { blocked } from '../bench/observer.ts';
import { ending, likesOf } from '../bench/outcome.ts';
import { newPostClass, POSTS } from '../bench/post-table.ts';
import { different, probe } from '../bench/probe.ts';

export const forkPerTask: Experiment = {
  name: 'fork-per-task',
  claim:
    'With a fork for each task, three concurrent tasks use three backends and three transactions, and a task that fails does not affect the others.',
  cure: `
const task = (pk: number) => em.fork().transactional((tx) => like(tx, pk));
await Promise.allSettled(pks.map(task));`,
  setup: POSTS,
  async run(scratch) {
    const Post = newPostClass();
    const { em } = scratch.orm([Post]);
    const openGate = await closeGate(scratch);
    const task = (pk: number) =>
      em.fork().transactional(async (tx) => {
        await tx.execute(PASS_GATE);
        const seen = await probe(tx);
        (await tx.findOneOrFail(Post, pk)).like += 1;
        await tx.flush();
        if (pk === 2) throw new Error('this one fails');
        return seen;
      });
    // Awaited from the start: the one that fails may do so before the unlock is answered.
    const tasks = Promise.allSettled(
      [1, 2, 3].map((pk) => scratch.timeline.as(`task ${pk}`, () => task(pk))),
    );
    const waiting = blocked(await scratch.observer.untilBlocked(3));
    await openGate();
    const ends = await tasks;
    const probes = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
    const figures = {
      waiting_at_once: waiting.length,
      tasks: ends.map(ending),
      backends: probes.map(({ backend }) => backend),
      transactions: probes.map(({ transaction }) => transaction),
      likes: await likesOf(scratch.outside),
    };
    const holds =
      figures.waiting_at_once === 3 &&
      different(figures.transactions) === 2 &&
      figures.likes.join() === '1,0,1';
    return { holds, figures };
  },
};

import type { EntityManager } from '@mikro-orm/postgresql';
import type { Experiment } from '../bench/experiment.ts';
import { meetingOf } from '../bench/barriers.ts';
import { ending } from '../bench/outcome.ts';
import { newPostClass, POSTS } from '../bench/post-table.ts';
import { different, type Probe, probe } from '../bench/probe.ts';
import type { Scratch } from '../bench/scratch.ts';

const tasks = ['first', 'second', 'third'];

/** The probe of the blog post: each task asks for its backend, meets the others, and asks again. */
async function withoutTransaction(scratch: Scratch, em: EntityManager) {
  const meet = meetingOf(tasks.length);
  scratch.timeline.part = 'without a transaction';
  return Promise.all(
    tasks.map((task) =>
      scratch.timeline.as(task, async () => {
        const before = await probe(em);
        await meet();
        return { task, before, after: await probe(em) };
      }),
    ),
  );
}

/** The same probe with a transaction for each task, as `@Transactional` would begin and commit it. */
async function withTransactions(scratch: Scratch, em: EntityManager) {
  const [begun, seen] = [meetingOf(tasks.length), meetingOf(tasks.length)];
  const probes: Probe[] = [];
  scratch.timeline.part = 'with begin and commit';
  const run = async () => {
    await em.begin();
    await begun();
    probes.push(await probe(em));
    await seen();
    await em.commit();
  };
  const ends = await Promise.allSettled(tasks.map((task) => scratch.timeline.as(task, run)));
  const backends = await scratch.observer.poll();
  const idle = backends.filter(({ state }) => state?.startsWith('idle in transaction'));
  return { ends: ends.map(ending), probes, idle_in_transaction: idle.map(({ pid }) => pid) };
}

export const sharedManager: Experiment = {
  name: 'shared-manager',
  claim:
    'Three concurrent tasks on one EntityManager use three backends as long as none begins a transaction; with begin and commit, all three work in the transaction that was begun last, and two connections stay idle in transaction.',
  cure: 'await Promise.all(tasks.map((task) => em.fork().transactional(task)));',
  setup: POSTS,
  async run(scratch) {
    const em = scratch.orm([newPostClass()]).em.fork();
    const loose = await withoutTransaction(scratch, em);
    const bound = await withTransactions(scratch, em);
    const statements = loose.flatMap(({ before, after }) => [before.transaction, after.transaction]);
    const holds =
      different(loose.map(({ before }) => before.backend)) === 3 &&
      different(statements) === 6 &&
      different(bound.probes.map(({ backend }) => backend)) === 1 &&
      different(bound.probes.map(({ transaction }) => transaction)) === 1 &&
      bound.idle_in_transaction.length === 2;
    const figures = { without_transaction: loose, with_transactions: bound };
    return { holds, figures };
  },
};

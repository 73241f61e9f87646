import { TransactionPropagation } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import { transactional as transactionalOf } from '../bench/transactional.ts';
import type { Experiment } from '../bench/experiment.ts';
import { endingOf, likesOf } from '../bench/outcome.ts';
import { newPostClass, type PostClass, POSTS } from '../bench/post-table.ts';
import { different, type Probe, probe } from '../bench/probe.ts';
import type { Scratch } from '../bench/scratch.ts';

/** The functions of a service: each runs in its own transaction, or joins that of its caller. */
function service(Post: PostClass) {
  const probes: Probe[] = [];
  const like = async (em: EntityManager, pk: number, fails = false) => {
    probes.push(await probe(em));
    const post = await em.findOneOrFail(Post, pk);
    post.like += 1;
    await em.flush();
    if (fails) throw new Error('changed my mind');
  };
  const likeOne = transactionalOf(like);
  const tryOne = transactionalOf(like, { propagation: TransactionPropagation.NESTED });
  return {
    probes,
    likeOne,
    likeAll: transactionalOf(async (em, pks: number[], failing?: number) => {
      for (const pk of pks) await likeOne(em, pk, pk === failing);
    }),
    likeWhatCan: transactionalOf(async (em, pks: number[], failing: number) => {
      for (const pk of pks) await tryOne(em, pk, pk === failing).catch(() => {});
    }),
  };
}

type Part = (em: EntityManager, calls: ReturnType<typeof service>) => Promise<unknown>;

const parts: Record<string, { run: Part; likes: string; end: string }> = {
  commit: { run: (em, { likeOne }) => likeOne(em, 1), likes: '1,0,0', end: 'done' },
  rollback: { run: (em, { likeOne }) => likeOne(em, 1, true), likes: '0,0,0', end: 'changed my mind' },
  joined: { run: (em, { likeAll }) => likeAll(em, [1, 2, 3]), likes: '1,1,1', end: 'done' },
  'joined, and one fails': {
    run: (em, { likeAll }) => likeAll(em, [1, 2, 3], 2),
    likes: '0,0,0',
    end: 'changed my mind',
  },
  'savepoints, and one fails': {
    run: (em, { likeWhatCan }) => likeWhatCan(em, [1, 2, 3], 2),
    likes: '1,0,1',
    end: 'done',
  },
  'three at once, a fork each': {
    run: (em, { likeOne }) => Promise.all([1, 2, 3].map((pk) => likeOne(em.fork(), pk))),
    likes: '1,1,1',
    end: 'done',
  },
};

async function runPart(scratch: Scratch, name: string, run: Part) {
  await scratch.outside.query('update posts set "like" = 0');
  scratch.timeline.part = name;
  const Post = newPostClass();
  const calls = service(Post);
  const end = await endingOf(run(scratch.orm([Post]).em.fork(), calls));
  const transactions = different(calls.probes.map(({ transaction }) => transaction));
  return { end, likes: (await likesOf(scratch.outside)).join(), calls: calls.probes.length, transactions };
}

export const transactional: Experiment = {
  name: 'transactional',
  claim:
    'A function wrapped in transactional() is committed as a whole, or rolled back when it throws; called inside another transaction, it joins it, or becomes a savepoint if configured to.',
  cure: `
const like = transactional(async (em, pk: number) => {
  (await em.findOneOrFail(Post, pk)).like += 1;
});
await like(orm.em.fork(), 1);`,
  setup: POSTS,
  async run(scratch) {
    const figures: Record<string, Awaited<ReturnType<typeof runPart>>> = {};
    for (const [name, { run }] of Object.entries(parts)) figures[name] = await runPart(scratch, name, run);
    const asWanted = Object.entries(parts).every(
      ([name, { likes, end }]) => figures[name]?.likes === likes && figures[name].end === end,
    );
    const holds =
      asWanted &&
      figures.joined?.transactions === 1 &&
      figures['savepoints, and one fails']?.transactions === 1 &&
      figures['three at once, a fork each']?.transactions === 3;
    return { holds, figures };
  },
};

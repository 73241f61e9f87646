import { LockMode } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { Experiment } from '../bench/experiment.ts';
import { POSTS } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';
import { openRouted, type Routed } from './reader.ts';

type Operation = (em: EntityManager, Post: Routed['Post']) => Promise<unknown>;

/** The operations, and where each must be routed. */
const operations: Record<string, { run: Operation; goesTo: string }> = {
  find: { goesTo: 'reader', run: (em, Post) => em.find(Post, {}) },
  count: { goesTo: 'reader', run: (em, Post) => em.count(Post) },
  'find on the writer': {
    goesTo: 'writer',
    run: (em, Post) => em.find(Post, {}, { connectionType: 'write' }),
  },
  'raw SQL': { goesTo: 'writer', run: (em) => em.execute('select count(*) from posts') },
  'find, change, flush': {
    goesTo: 'reader writer',
    run: async (em, Post) => {
      (await em.findOneOrFail(Post, 1)).like += 1;
      await em.flush();
    },
  },
  'find in a transaction': {
    goesTo: 'writer',
    run: (em, Post) => em.transactional((tx) => tx.find(Post, {})),
  },
  'find in a transaction that only reads': {
    goesTo: 'writer',
    run: (em, Post) => em.transactional((tx) => tx.find(Post, {}), { readOnly: true }),
  },
  'find with a lock': {
    goesTo: 'writer',
    run: (em, Post) =>
      em.transactional((tx) => tx.findOneOrFail(Post, 1, { lockMode: LockMode.PESSIMISTIC_WRITE })),
  },
};

/** The servers that an operation used, in the order of their first statements. */
async function servedBy({ timeline }: Scratch, { orm, Post }: Routed, name: string, run: Operation) {
  const first = timeline.entries.length;
  timeline.part = name;
  await run(orm.em.fork(), Post);
  return [...new Set(timeline.entries.slice(first).map(({ session }) => session))].join(' ');
}

export const readerWriter: Experiment = {
  name: 'reader-writer',
  claim:
    'Reads outside a transaction go to the reader; writes, locks, raw SQL and everything inside a transaction go to the writer, so no transaction spans both.',
  cure: `
const replicas = [{ name: 'reader', host: 'standby.internal' }];
const { em } = new MikroORM({ clientUrl, entities, replicas });
await em.fork().findOne(Post, pk); // from the reader
await em.fork().transactional((tx) => tx.findOne(Post, pk)); // from the writer`,
  setup: POSTS,
  async run(scratch) {
    const routed = await openRouted(scratch);
    const served: Record<string, string> = {};
    for (const [name, { run }] of Object.entries(operations)) {
      served[name] = await servedBy(scratch, routed, name, run);
    }
    const { rows } = await routed.reader.query(
      `select pg_is_in_recovery() as in_recovery, current_setting('transaction_read_only') as read_only`,
    );
    const holds = Object.entries(operations).every(([name, { goesTo }]) => served[name] === goesTo);
    const figures = { standby: routed.standby, reader: rows[0], served };
    return { holds, figures };
  },
};

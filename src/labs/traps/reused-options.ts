import type { TransactionOptions } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import { endingOf, likesOf } from '../bench/outcome.ts';
import { newPostClass } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';
import { experimentOf } from './trap.ts';

/** A nested transaction and later an outermost one, both with the options that the function returns. */
async function twice(scratch: Scratch, options: () => TransactionOptions) {
  const Post = newPostClass();
  const { em } = scratch.orm([Post]);
  const like = (manager: EntityManager, pk: number) =>
    manager.transactional((tx) => tx.nativeUpdate(Post, pk, { like: 1 }), options());
  await em.fork().transactional((tx) => like(tx, 1));
  return { alone: await endingOf(like(em.fork(), 2)), likes: await likesOf(scratch.outside) };
}

export const reusedOptions = experimentOf({
  name: 'reused-options',
  claim:
    'Inside a transaction, em.transactional() stores that transaction in its options object: the next call with the same object tries to create a savepoint in a transaction that has ended, and fails.',
  expectation: 'Options are only read, so a constant can be reused.',
  guard: 'A new options object for each call, as in src/labs/bench/transactional.ts.',
  cure: `
// A function, not a constant: MikroORM writes into the options object.
const options = () => ({ isolationLevel: IsolationLevel.SERIALIZABLE });
await em.transactional(work, options());`,
  async fallInto(scratch) {
    const options: TransactionOptions = {};
    const figures = await twice(scratch, () => options);
    return { seen: figures.alone !== 'done', figures };
  },
  async avoid(scratch) {
    const figures = await twice(scratch, () => ({}));
    return { seen: figures.alone === 'done' && figures.likes.join() === '1,1,0', figures };
  },
});

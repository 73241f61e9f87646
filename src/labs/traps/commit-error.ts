import { DriverException, IsolationLevel } from '@mikro-orm/core';
import { failureOf } from '../../database/failure.ts';
import { codeOf } from '../../errors/caught.ts';
import { newPostClass } from '../bench/post-table.ts';
import type { Scratch } from '../bench/scratch.ts';
import { experimentOf } from './trap.ts';

/** Write skew at SERIALIZABLE: two transactions read two posts, each writes a different one, and one commit fails. */
async function refusedCommit(scratch: Scratch): Promise<unknown> {
  const Post = newPostClass();
  const { em } = scratch.orm([Post]);
  const [first, second] = [em.fork(), em.fork()];
  for (const one of [first, second]) {
    await one.begin({ isolationLevel: IsolationLevel.SERIALIZABLE });
    await one.find(Post, [1, 2]);
  }
  await first.nativeUpdate(Post, 1, { like: 1 });
  await second.nativeUpdate(Post, 2, { like: 1 });
  await first.commit();
  try {
    await second.commit();
    return undefined;
  } catch (error) {
    return error;
  }
}

const about = (error: unknown) => ({
  code: codeOf(error),
  driver_exception: error instanceof DriverException,
  failure: failureOf(error),
});

export const commitError = experimentOf({
  name: 'commit-error',
  claim:
    'A serialization failure that arrives at the commit is the driver’s own error, not one of MikroORM’s classes.',
  expectation: 'Every error of the database is a DriverException, as it is for every other statement.',
  guard: 'Failures are classified by their SQLSTATE and never by their class.',
  cure: `
// By the code, never by the class.
const isConflict = ({ code }: { code?: string }) =>
  code === '40001' || code === '40P01';`,
  async fallInto(scratch) {
    const figures = about(await refusedCommit(scratch));
    return { seen: figures.code === '40001' && !figures.driver_exception, figures };
  },
  async avoid(scratch) {
    const figures = about(await refusedCommit(scratch));
    return { seen: figures.failure === 'conflict', figures };
  },
});

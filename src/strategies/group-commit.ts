import { IsolationLevel, NotFoundError, raw } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import { GroupCommit } from '../concurrency/group-commit.ts';
import { Post } from '../likes/post.ts';
import { isSoldOut } from '../likes/stock.ts';
import { PERSISTENT, type Strategy } from '../likes/strategy.ts';

/** One group for each database that this process writes to. */
const groups = new WeakMap<object, GroupCommit<number, number>>();

/**
 * Relies on one process receiving many increments of a post at the same time: they become one UPDATE and one commit, and
 * all callers are answered after it. Several processes remain exact, each with its own groups.
 */
export const groupCommit: Strategy = {
  name: 'group-commit',
  summary: 'Collects the waiting increments and writes them in one statement, with one commit for all.',
  claim: 'exact',
  // Retried, since a refused batch was not applied at all.
  attempts: PERSISTENT,
  increment: (em, pk) => groupOf(em).submit(pk),
};

function groupOf(em: EntityManager): GroupCommit<number, number> {
  const driver = em.getDriver();
  const known = groups.get(driver);
  if (known) return known;
  const own = em.fork();
  const group = new GroupCommit<number, number>({
    batchMax: 1000,
    queueMax: 10_000,
    write: (pks) => writeWhatFits(own, pks),
  });
  groups.set(driver, group);
  return group;
}

/** Writes the increments together; if the stock does not suffice for all of them, one by one. */
async function writeWhatFits(em: EntityManager, pks: readonly number[]): Promise<(number | Error)[]> {
  try {
    return await writeTogether(em, pks);
  } catch (error) {
    if (!isSoldOut(error) || pks.length === 1) throw error;
    const each: (number | Error)[] = [];
    for (const pk of pks) each.push(...(await writeTogether(em, [pk]).catch((one: Error) => [one])));
    return each;
  }
}

/** Adds the increments of each post, in the same order in every process, so that batches cannot deadlock. */
async function writeTogether(em: EntityManager, pks: readonly number[]): Promise<number[]> {
  const counts = Map.groupBy(pks, (pk) => pk);
  const posts = [...counts.keys()].toSorted((a, b) => a - b);
  const write = async (tx: EntityManager) => {
    const next = new Map<number, number>();
    for (const pk of posts) {
      const added = counts.get(pk)?.length ?? 0;
      next.set(pk, (await add(tx, pk, added)) - added);
    }
    return next;
  };
  // A single statement is already a transaction.
  const next = await (posts.length === 1
    ? write(em)
    : em.transactional(write, { isolationLevel: IsolationLevel.READ_COMMITTED }));
  return pks.map((pk) => {
    const value = (next.get(pk) ?? Number.NaN) + 1;
    next.set(pk, value);
    return value;
  });
}

async function add(em: EntityManager, pk: number, count: number): Promise<number> {
  const { row } = await em
    .createQueryBuilder(Post)
    .update({ like: raw('"like" + ?', [count]), modifiedAt: raw('now()') })
    .where({ pk })
    .returning('like')
    .execute();
  if (!row) throw NotFoundError.findOneFailed('Post', pk);
  return row.like;
}

import { OptimisticLockError } from '@mikro-orm/core';
import type { Client } from 'pg';
import { codeOf, messageOf } from '../../errors/caught.ts';

/** The outcome of an attempt: `done`, `refused` by the version check, a SQLSTATE, or the error's message. */
export function ending(end: PromiseSettledResult<unknown>): string {
  if (end.status === 'fulfilled') return 'done';
  const { reason } = end;
  if (reason instanceof OptimisticLockError) return 'refused';
  return codeOf(reason) ?? messageOf(reason);
}

export async function endingOf(work: Promise<unknown>): Promise<string> {
  const [end] = await Promise.allSettled([work]);
  return ending(end);
}

/** Whether another session has locked the row of post 1. */
export async function isLocked(client: Client): Promise<boolean> {
  const { rowCount } = await client.query('select from posts where pk = 1 for update skip locked');
  return rowCount === 0;
}

/** The likes of all posts in the table, ordered by key. */
export async function likesOf(client: Client): Promise<number[]> {
  const { rows } = await client.query<{ like: number }>('select "like" from posts order by pk');
  return rows.map(({ like }) => like);
}

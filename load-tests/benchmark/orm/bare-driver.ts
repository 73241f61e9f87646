import type { Pool, PoolClient } from 'pg';
import { POSTS } from './posts.ts';
import type { Runner } from './turns.ts';

/** The statements that MikroORM sends for `atomic` and `pessimistic`, sent by the bare driver. */
export const bareDriver = (pool: Pool): Runner[] => [
  {
    name: 'atomic, bare driver',
    increment: async (pk) => {
      await pool.query(
        `update ${POSTS} set "like" = "like" + 1, "modified_at" = now(), "version" = "version" + 1 where "pk" = ${pk} returning "like"`,
      );
      return true;
    },
  },
  {
    name: 'pessimistic, bare driver',
    increment: async (pk) => {
      const client = await pool.connect();
      try {
        await pessimistic(client, pk);
        return true;
      } finally {
        client.release();
      }
    },
  },
];

async function pessimistic(client: PoolClient, pk: number): Promise<void> {
  await client.query('begin');
  const { rows } = await client.query<{ like: number }>(
    `select "p0"."like", "p0"."stock" from ${POSTS} as "p0" where "p0"."pk" = ${pk} for update`,
  );
  const like = (rows[0]?.like ?? 0) + 1;
  await client.query(
    `update ${POSTS} set "like" = ${like}, "modified_at" = '${new Date().toISOString()}', "version" = "version" + 1 where "pk" = ${pk}`,
  );
  await client.query('commit');
}

import type { PostgresPool, PostgresPoolClient } from 'kysely';
import type { Pool } from 'pg';
import { type Observe, observed } from '../../database/observed.ts';

/** The driver's own pool without the guard of `src/database`: what MikroORM meets elsewhere. */
export function barePool(pool: Pool, observe: Observe): PostgresPool {
  return {
    options: pool.options,
    end: () => pool.end(),
    async connect() {
      const client = await pool.connect();
      const { processID } = client as unknown as { processID: number };
      const query = (sql: string, values: unknown[]) =>
        observed(observe, sql, processID, () => client.query(sql, values));
      return {
        processID,
        query: query as unknown as PostgresPoolClient['query'],
        release: () => client.release(),
      };
    },
  };
}

import type { PostgresPool, PostgresPoolClient } from 'kysely';
import type { Pool } from 'pg';
import { backendPidOf, type Observe, observed } from '../../database/observed.ts';

/** The driver's pool without the safeguards of `src/database`, as other applications use it with MikroORM. */
export function barePool(pool: Pool, observe: Observe): PostgresPool {
  return {
    options: pool.options,
    end: () => pool.end(),
    async connect() {
      const client = await pool.connect();
      const processID = backendPidOf(client);
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

import type { Sessions } from '../database/sessions.ts';
import { inSchema, type Statement } from './statements.ts';

/** Runs one statement as a separate transaction and returns its rows; throws as `Sessions.query` does. */
export type Ask = <Row extends object>(statement: Statement, values: readonly unknown[]) => Promise<Row[]>;

/** @param schema the schema of the tables; undefined: the search_path of the session applies */
export function askIn(sessions: Pick<Sessions, 'query'>, schema?: string): Ask {
  const cache = new Map<Statement, Statement>();
  return async <Row extends object>(statement: Statement, values: readonly unknown[]) => {
    let qualified = cache.get(statement);
    if (!qualified) {
      qualified = schema === undefined ? statement : inSchema(statement, schema);
      cache.set(statement, qualified);
    }
    return (await sessions.query<Row>({ ...qualified, values })).rows;
  };
}

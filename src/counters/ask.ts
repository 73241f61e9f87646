import type { Sessions } from '../database/sessions.ts';
import { inSchema, type Statement } from './statements.ts';

/** Runs one statement, which is a transaction of its own, and returns its rows; throws as `Sessions.query` does. */
export type Ask = <Row extends object>(statement: Statement, values: readonly unknown[]) => Promise<Row[]>;

/** @param schema where the tables are; undefined: wherever the session finds them */
export function askIn(sessions: Pick<Sessions, 'query'>, schema?: string): Ask {
  const qualified = new Map<Statement, Statement>();
  return async <Row extends object>(statement: Statement, values: readonly unknown[]) => {
    let named = qualified.get(statement);
    if (!named) {
      named = schema === undefined ? statement : inSchema(statement, schema);
      qualified.set(statement, named);
    }
    return (await sessions.query<Row>({ ...named, values })).rows;
  };
}

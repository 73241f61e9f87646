import { ConnectionError } from '../../src/database/failure.ts';
import type { PreparedStatement, Sessions } from '../../src/database/sessions.ts';

export type Query = Pick<Sessions, 'query'>;

/** The name of a statement of the writer, without the digest of its text. */
export const statementName = ({ name }: PreparedStatement): string => name.replace(/-[\w-]{12}$/, '');

export const lost = () => new ConnectionError('unknown', 'the connection was lost');

/**
 * Sessions whose first statements that write or close batches fail, as `faults` says one after another:
 * - `none`: the statement succeeds.
 * - `lost before`: the connection breaks before the statement arrives.
 * - `lost after`: the connection breaks after the statement was applied.
 * - `paused`: the same, and the process continues so late that the row of the writer has been removed.
 * - `conflict`: the server refuses the statement with a serialization failure.
 */
export function unreliable(sessions: Query, faults: readonly string[]): Query {
  let next = 0;
  return {
    async query(statement: PreparedStatement) {
      if (['register', 'known-keys', ''].includes(statementName(statement))) return sessions.query(statement);
      const fault = faults[next++];
      if (fault === 'lost before') throw lost();
      if (fault === 'conflict') throw Object.assign(new Error('could not serialize'), { code: '40001' });
      const result = await sessions.query(statement);
      if (fault === 'paused') await forgetWriters(sessions);
      if (fault === 'lost after' || fault === 'paused') throw lost();
      return result;
    },
  } as Query;
}

export const forgetWriters = (sessions: Query) =>
  sessions.query({ name: 'forget', text: 'delete from counter_writers', values: [] });

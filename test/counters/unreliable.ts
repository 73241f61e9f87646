import { ConnectionError } from '../../src/database/failure.ts';
import type { PreparedStatement, Sessions } from '../../src/database/sessions.ts';

export type Query = Pick<Sessions, 'query'>;

/** Which of the writer's statements it is, without the digest of its text. */
export const act = ({ name }: PreparedStatement): string => name.replace(/-[\w-]{12}$/, '');

export const lost = () => new ConnectionError('unknown', 'the connection was lost');

/**
 * A connection that breaks at first while batches are written: before the statement arrives, or after it was done; or after it was done, and so
 * long ago that the row of the writer is gone by the time the process goes on.
 */
export function unreliable(sessions: Query, fates: readonly string[]): Query {
  let next = 0;
  return {
    async query(statement: PreparedStatement) {
      if (['register', 'known-keys'].includes(act(statement))) return sessions.query(statement);
      const fate = fates[next++];
      if (fate === 'lost before') throw lost();
      if (fate === 'conflict') throw Object.assign(new Error('could not serialize'), { code: '40001' });
      const result = await sessions.query(statement);
      if (fate === 'paused') await forgetWriters(sessions);
      if (fate === 'lost after' || fate === 'paused') throw lost();
      return result;
    },
  } as Query;
}

export const forgetWriters = (sessions: Query) =>
  sessions.query({ name: 'forget', text: 'delete from counter_writers', values: [] });

import { ConnectionError } from '../../src/database/failure.ts';
import type { PreparedStatement } from '../../src/database/guarded-connection.ts';
import type { Send, Sessions } from '../../src/database/sessions.ts';

export type Query = Pick<Sessions, 'query' | 'transaction'>;

/** The name of a statement of the writer, without the digest of its text. */
export const statementName = ({ name }: Pick<PreparedStatement, 'name'>): string =>
  name.replace(/-[\w-]{12}$/, '');

export const lost = () => new ConnectionError('unknown', 'the connection was lost');

/** Sessions that send single statements in another way, and transactions as before. */
export const asking = (sessions: Query, query: (statement: PreparedStatement) => Promise<unknown>): Query =>
  ({
    query,
    transaction: (work: Parameters<Query['transaction']>[0]) => sessions.transaction(work),
  }) as Query;

/**
 * Sessions that call `before` ahead of each round trip of a transaction, with the texts of its statements; the round trip is
 * not sent if it throws.
 */
export const interrupted = (
  sessions: Query,
  before: (texts: readonly string[]) => Promise<void> | void,
): Query => ({
  query: (statement: PreparedStatement) => sessions.query(statement),
  transaction: <T>(work: (send: Send) => Promise<T>) =>
    sessions.transaction((send) =>
      work(async (statements) => {
        await before(statements.map(({ text }) => text));
        return send(statements);
      }),
    ),
});

export const commits = (texts: readonly string[]): boolean => texts.includes('commit');

/**
 * Sessions whose first statements that write or close batches, and commits of transactions, fail, as `faults` says one
 * after another:
 * - `none`: the statement succeeds.
 * - `broken`: the connection breaks before anything was sent that could commit; of a transaction, at its beginning.
 * - `lost before`: the connection breaks before the statement arrives.
 * - `lost after`: the connection breaks after the statement was applied.
 * - `paused`: the same, and the process continues so late that the row of the writer has been removed.
 * - `conflict`: the server refuses the statement with a serialization failure.
 */
export function unreliable(sessions: Query, faults: readonly string[]): Query {
  let next = 0;
  const breakIf = (isNext: boolean) => {
    if (!isNext) return;
    next += 1;
    throw new ConnectionError('lost', 'the connection was lost before the commit');
  };
  const faulty = async <T>(send: () => Promise<T>): Promise<T> => {
    breakIf(faults[next] === 'broken');
    const fault = faults[next++];
    if (fault === 'lost before') throw lost();
    if (fault === 'conflict') throw Object.assign(new Error('could not serialize'), { code: '40001' });
    const result = await send();
    if (fault === 'paused') await forgetWriters(sessions);
    if (fault === 'lost after' || fault === 'paused') throw lost();
    return result;
  };
  return {
    query: async (statement: PreparedStatement) =>
      ['register', ''].includes(statementName(statement))
        ? sessions.query(statement)
        : faulty(() => sessions.query(statement)),
    transaction: <T>(work: (send: Send) => Promise<T>) =>
      sessions.transaction((send) =>
        work(async (statements) => {
          if (commits(statements.map(({ text }) => text))) return faulty(() => send(statements));
          breakIf(faults[next] === 'broken');
          return send(statements);
        }),
      ),
  };
}

export const forgetWriters = (sessions: Query) =>
  sessions.query({ name: '', text: 'delete from safe_counters.writers', values: [] });

import { IsolationLevel } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { Experiment } from '../bench/experiment.ts';

/** The isolation level that the server reports. */
async function levelOf(em: EntityManager): Promise<string | undefined> {
  const [row] = await em.execute<{ transaction_isolation: string }[]>('show transaction_isolation');
  return row?.transaction_isolation;
}

export const threePlaces: Experiment = {
  name: 'three-places',
  claim:
    'The isolation level can be set for all connections of a pool, for one connection (which keeps it for its next borrower), and for one transaction; the most specific setting wins.',
  cure: 'await em.transactional(work, { isolationLevel: IsolationLevel.SERIALIZABLE });',
  async run(scratch) {
    // As ISOLATION_LEVEL does for this service: the driver sets it when it connects.
    const { sessions } = scratch.pool({ limits: { ISOLATION_LEVEL: 'repeatable read' } });
    const orm = scratch.ormOver(sessions, [], { discovery: { warnWhenNoEntities: false } });
    const seen = await sessions.withSession(async () => {
      const em = orm.em.fork();
      const pool = await em.transactional(levelOf);
      await em.execute('set session characteristics as transaction isolation level serializable');
      const connection = await em.transactional(levelOf);
      const { READ_COMMITTED: isolationLevel } = IsolationLevel;
      const transaction = await em.transactional(levelOf, { isolationLevel });
      const connectionAgain = await em.transactional(levelOf);
      const other = await sessions.withSession(() => orm.em.fork().transactional(levelOf));
      return { pool, connection, transaction, connection_again: connectionAgain, other_connection: other };
    });
    // The pool lends the connection that was returned last.
    const figures = { ...seen, next_borrower: await orm.em.fork().transactional(levelOf) };
    const holds =
      seen.pool === 'repeatable read' &&
      seen.connection === 'serializable' &&
      seen.transaction === 'read committed' &&
      seen.connection_again === 'serializable' &&
      seen.other_connection === 'repeatable read' &&
      figures.next_borrower === 'serializable';
    return { holds, figures };
  },
};

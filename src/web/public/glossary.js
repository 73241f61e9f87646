// @ts-check

/** The terms that the page itself uses. Those of the labs come with the labs. @type {Record<string, string>} */
const TERMS = {
  'lost update':
    'Two writers read the same value, and both write what follows from it. The second write covers the first.',
  worker:
    'It adds likes one after another, on a connection of its own. All workers add to the same post at once.',
  conflict: 'Another writer was first: what was read is no longer true, so the write is refused.',
  retry: 'After a conflict: read again, add again, write again.',
  throughput: 'How many likes a second were acknowledged.',
  transaction: 'Several statements that take effect together, or not at all.',
  commit: 'The moment at which a transaction takes effect: from then on it is on disk, and others see it.',
  'isolation level':
    'How far the database keeps transactions apart that run at the same time. There are four.',
  'group commit':
    'Likes that wait are written together: one statement, one commit, and all are answered after it.',
  exact: 'Claims that each like that was acknowledged counts.',
  rejects: 'Claims that likes may be refused, and that each one that was acknowledged counts.',
  loses: 'Claims nothing: likes that were acknowledged vanish.',
  inconclusive:
    'The race ran out of time. What was counted until then shows nothing wrong, and proves nothing.',
  possible: 'It was seen to happen at this level, just now.',
  prevented:
    'It was tried just now, and did not happen: the database kept it out, or refused one of the transactions.',
};

/** What PostgreSQL’s codes mean. @type {Record<string, string>} */
const SQLSTATES = {
  22012: 'A division by zero.',
  '25P02': 'An earlier statement of this transaction failed, so the rest is refused.',
  '25P03': 'This transaction was left open with nothing to do for too long.',
  40001: 'A concurrent transaction was first. Start again, from the read on.',
  '40P01': 'A deadlock: two transactions wait for each other, so one of them is refused.',
  '42P07': 'A table of this name is there already.',
  '55P03': 'The lock was not free in time.',
  57014: 'The statement took too long and was cancelled.',
  '57P01': 'The server has ended this connection.',
};

/** What a term or a SQLSTATE means, where it is known. @type {(name: string) => string | undefined} */
export const meaningOf = (name) =>
  TERMS[name] ?? (SQLSTATES[name] && `PostgreSQL’s code ${name}: ${SQLSTATES[name]}`);

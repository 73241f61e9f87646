// @ts-check

/** The terms of the page itself; those of the labs come with GET /labs. @type {Record<string, string>} */
const TERMS = {
  'lost update':
    'Two writers read the same value, and each writes a new one based on it. The second write overwrites the first.',
  worker:
    'Adds likes one after another on its own connection. All workers add to the same post at the same time.',
  conflict: 'Another transaction has changed or locked the row, so this attempt is refused.',
  retry: 'Another attempt after a conflict: it reads, adds and writes again.',
  throughput: 'Acknowledged likes per second.',
  transaction: 'Several statements that take effect together, or not at all.',
  commit:
    'The moment at which a transaction takes effect: from then on it is on disk, and other transactions see it.',
  'isolation level':
    'How strictly the database separates transactions that run at the same time. There are four levels.',
  'group commit':
    'Likes that wait are written together: one statement and one commit, after which all callers are answered.',
  exact: 'Every acknowledged like is counted.',
  rejects: 'Likes may be refused; every acknowledged like is counted.',
  loses: 'Acknowledged likes are lost.',
  inconclusive: 'The race ran out of time. No likes were lost until then, which does not prove the claim.',
  possible: 'The anomaly was just observed at this level.',
  prevented:
    'The schedule was just run and the anomaly did not occur: the database prevented it, or refused a transaction.',
};

/** What PostgreSQL’s error codes mean. @type {Record<string, string>} */
const SQLSTATES = {
  22012: 'Division by zero.',
  '25P02': 'An earlier statement of this transaction failed, so the rest is refused.',
  '25P03': 'The transaction was idle for too long.',
  40001: 'Serialization failure: a concurrent transaction came first. Retry the whole transaction.',
  '40P01': 'Deadlock: transactions wait for each other, so one of them is refused.',
  '42P07': 'A table of this name already exists.',
  '55P03': 'The lock was not available in time.',
  57014: 'The statement took too long and was cancelled.',
  '57P01': 'The server has closed this connection.',
};

/** What a term or SQLSTATE means, if it is known. @type {(name: string) => string | undefined} */
export const meaningOf = (name) =>
  TERMS[name] ?? (SQLSTATES[name] && `PostgreSQL error ${name}: ${SQLSTATES[name]}`);

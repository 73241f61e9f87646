// @ts-check

/** The words that not everybody knows, in words that everybody does. @type {Record<string, string>} */
export const TERMS = {
  'lost update':
    'Two read the same value, and both write what follows from it. The second write covers the first.',
  contender:
    'One who adds likes, with a connection to the database of its own. All add to the same post, at once.',
  acknowledged: 'The service has said: done, your like counts.',
  conflict: 'Somebody else was faster: what was read is no longer true, so the write is refused.',
  retry: 'After a conflict: read again, add again, write again.',
  throughput: 'How many likes a second were acknowledged.',
  transaction: 'Several statements that count all together, or not at all.',
  commit: 'The moment at which a transaction counts: from then on it is on disk, and others see it.',
  'isolation level':
    'How far the database keeps transactions apart that run at the same time. There are four.',
  session: 'One connection to the database, served by one process there. It does one thing at a time.',
  'group commit':
    'Likes that wait are written together: one statement, one commit, and everybody is answered after it.',
  cure: 'What to write instead, taken from how this service does it.',
  exact: 'Claims that each like that was acknowledged counts.',
  rejects: 'Claims that likes may be refused, and that each one that was acknowledged counts.',
  loses: 'Claims nothing: likes that were acknowledged vanish.',
  possible: 'It was seen to happen at this level, just now.',
  prevented:
    'It was tried just now, and did not happen: the database kept it out, or refused one of the transactions.',
  40001: 'PostgreSQL’s code for: another transaction was first. Start again, from the read on.',
  '40P01': 'PostgreSQL’s code for a deadlock: two wait for each other, so one of them is refused.',
  '55P03': 'PostgreSQL’s code for: the lock was not free in time.',
  57014: 'PostgreSQL’s code for: the statement took too long and was stopped.',
  '57P01': 'PostgreSQL’s code for: the server has ended this connection.',
  '25P02': 'PostgreSQL’s code for: an earlier statement of this transaction failed, so the rest is refused.',
  '25P03': 'PostgreSQL’s code for: this transaction was left open with nothing to do for too long.',
  EntityManager:
    'What MikroORM calls a session: it holds what was read, notices what was changed, and writes it.',
  flush: 'To write what was changed: one UPDATE or INSERT for each entity.',
  fork: 'An EntityManager of its own, with nothing read yet, and a transaction of its own.',
  entity: 'A row as an object of the program.',
  entities: 'Rows as objects of the program.',
  savepoint: 'A place inside a transaction that one can go back to, without giving up all of it.',
  'idle in transaction':
    'A connection that has begun, and neither goes on nor ends: it keeps its locks meanwhile.',
  backend: 'The process in the database server that serves one connection.',
  backends: 'The processes in the database server, one for each connection.',
  pool: 'The connections to the database that a service keeps, and lends to whoever needs one.',
  'version property':
    'A number in each row that every write raises. A write that expects another number is refused.',
  'result cache': 'A memory of the answers to queries, which are then given again without asking.',
  'time to live': 'How long something stays in a cache.',
  standby: 'A copy of the database that follows the original, a moment behind.',
  deadlock: 'Two that wait for each other, so that neither can go on.',
  'row lock': 'Whoever holds it may change the row. The others wait until the holder’s transaction ends.',
  'advisory lock': 'A lock on a name that the program makes up, and not on a row.',
  'pessimistic lock': 'Taking the lock before reading, so that nobody else can write in between.',
  optimistic: 'Reading without a lock, and refusing the write if somebody else was faster.',
  'for update': 'An addition to a SELECT: it locks the rows that it reads until the commit.',
  'serialization failure':
    'The database refuses a transaction because others were first. It may be run again.',
  upsert: 'Inserting a row, or changing it if it is there already.',
  'raw SQL': 'A piece of SQL in the place of a value: the database computes it.',
  'write skew':
    'Two read the same rows, and each changes another one of them, so that together they break a rule.',
  'read skew': 'Seeing one row as it was before somebody’s commit, and another as it was after it.',
  22012: 'PostgreSQL’s code for a division by zero.',
  '42P07': 'PostgreSQL’s code for: a table of this name is there already.',
};

/** What is too plain a word to be marked wherever it stands. */
export const PLAIN = new Set([
  'exact',
  'rejects',
  'loses',
  'possible',
  'prevented',
  'contender',
  'cure',
  'session',
  'retry',
  'conflict',
]);

/** The terms that the labs' claims use, for readers who do not work with databases every day. */
export const glossary = {
  transaction: 'Several statements that take effect together, or not at all.',
  'serialization failure':
    'The server refuses a transaction because a concurrent one was first (SQLSTATE 40001). The whole transaction can be run again.',
  'row lock': 'Only its holder may change the row; other writers wait until the holder’s transaction ends.',
  autocommit: 'Without BEGIN, each statement is a transaction of its own.',
  deadlock: 'Two transactions wait for each other, so that neither can go on.',
  pool: 'The open connections that a service keeps, and lends to the requests that need one.',
  'idle in transaction':
    'A connection that has begun a transaction and neither goes on nor ends it: it keeps its locks meanwhile.',
  'lock timeout': 'How long a statement may wait for a lock before the server refuses it (SQLSTATE 55P03).',
  EntityManager: 'MikroORM’s session: it holds the entities it has read, and writes what changed in them.',
  flush: 'Writing what changed: one INSERT or UPDATE for each entity.',
  fork: 'A new EntityManager with an empty identity map and a transaction of its own.',
  entity: 'A row as an object of the program.',
  backend: 'The server process that serves one connection.',
  savepoint: 'A point inside a transaction to which it can be rolled back, without giving up all of it.',
  standby: 'A copy of the database that follows the primary, a moment behind.',
  'result cache': 'A store of query results that are given again without asking the server.',
  'time to live': 'How long an entry stays in a cache.',
  'version property':
    'A number in each row that every write raises. A write that expects another number is refused.',
  'pessimistic lock': 'Locking the row before it is read, so that no other transaction can write in between.',
  upsert: 'Inserting a row, or changing it if it is there already.',
  'raw SQL': 'A fragment of SQL in the place of a value: the server computes it.',
} as const;

export type Term = keyof typeof glossary;

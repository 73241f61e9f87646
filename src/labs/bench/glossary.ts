/** The terms of the labs' claims, for readers without a background in databases. */
export const glossary = {
  transaction: 'Several statements that take effect together, or not at all.',
  'serialization failure':
    'The server refuses a transaction because of a concurrent one (SQLSTATE 40001). The whole transaction can be retried.',
  'row lock': 'Only the lock holder may change the row; other writers wait until its transaction ends.',
  autocommit: 'Without BEGIN, each statement is a separate transaction.',
  deadlock: 'Two transactions wait for each other, so that neither can continue.',
  pool: 'The open connections that a service keeps and lends to the requests that need one.',
  'idle in transaction': 'A connection whose transaction is open but runs no statement; it keeps its locks.',
  'lock timeout': 'How long a statement may wait for a lock before the server refuses it (SQLSTATE 55P03).',
  EntityManager: 'MikroORM’s session: it holds the entities it has read, and writes their changes.',
  flush: 'Writes the changes of an EntityManager’s entities to the database.',
  fork: 'A new EntityManager with an empty identity map and its own transactions.',
  entity: 'A row as an object in the program.',
  backend: 'The server process that serves one connection.',
  savepoint: 'A point in a transaction to which it can be rolled back without losing what was done before.',
  standby: 'A copy of the database that follows the primary with a short delay.',
  'result cache': 'Keeps query results, which are then returned without a query.',
  'time to live': 'How long an entry stays in a cache.',
  'version property':
    'A number in each row that every write raises. A write that expects a different number is refused.',
  'pessimistic lock': 'A row lock taken by the read, so that no other transaction can write in between.',
  upsert: 'Inserts a row, or updates it if it already exists.',
  'raw SQL': 'A fragment of SQL in place of a value, which the server computes.',
} as const;

export type Term = keyof typeof glossary;

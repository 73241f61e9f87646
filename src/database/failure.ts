/**
 * What a failed statement means to its caller:
 * - `conflict`: another transaction changed the rows first. Nothing was applied; the whole transaction may be retried at once.
 * - `busy`: it waited as long as it may. Nothing was applied; trying again later may help.
 * - `full`: the server has no room on its disk. Nothing was applied; reads still work.
 * - `read_only`: the server takes no writes, as a standby. Nothing was applied; another server may take them.
 * - `unavailable`: no connection could be had. Nothing was sent.
 * - `lost`: the connection broke before a commit was asked for. The server rolls back: nothing was applied.
 * - `unknown`: the connection broke while a commit was in flight. Whether it was applied cannot be known.
 */
export type Failure = 'conflict' | 'busy' | 'full' | 'read_only' | 'unavailable' | 'lost' | 'unknown';

/**
 * The SQLSTATEs that say more about the moment than about the statement. Source: PostgreSQL documentation,
 * appendix A. Decided by code and never by class: a 40001 that arrives at COMMIT reaches us as the driver's own
 * error, the same code on a statement as one of MikroORM's.
 */
const bySqlState: Record<string, Failure> = {
  '40003': 'unknown', // statement_completion_unknown: CockroachDB's word for a lost answer
  '40001': 'conflict', // serialization_failure: repeatable read and serializable refuse what would not be serial
  '40P01': 'conflict', // deadlock_detected: the server chose us as the one to give way
  '55P03': 'busy', // lock_not_available: lock_timeout ran out, or NOWAIT found a lock
  '57014': 'busy', // query_canceled: statement_timeout ran out
  '53100': 'full', // disk_full: a file could not be extended
  '25006': 'read_only', // read_only_sql_transaction: this server is (or has become) a standby
};

/** An error of the connection rather than of the server: the driver reports these without a SQLSTATE. */
export class ConnectionError extends Error {
  override name = 'ConnectionError';
  // A plain property: MikroORM copies these, and not the prototype, into the error that it throws instead.
  readonly failure: Failure;

  constructor(failure: Failure, message: string, cause?: unknown) {
    super(message, { cause });
    this.failure = failure;
  }
}

/** What kind of failure this error is; undefined: none of them, so a defect or a statement that cannot work. */
export function failureOf(error: unknown): Failure | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const { failure, code, name } = error as { failure?: Failure; code?: string; name?: string };
  // MikroORM's, which has no code. By its name, since the counters also run where the ORM is not installed.
  if (name === 'OptimisticLockError') return 'conflict';
  return failure ?? (code === undefined ? undefined : bySqlState[code]);
}

export const isConflict = (error: unknown): boolean => failureOf(error) === 'conflict';

export const isReadOnly = (error: unknown): boolean => failureOf(error) === 'read_only';

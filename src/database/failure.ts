import { codeOf } from '../errors/caught.ts';

/**
 * What a failed statement means to its caller:
 * - `conflict`: another transaction changed the rows first. Nothing was applied; the whole transaction may be retried at once.
 * - `busy`: a wait reached its time limit. Nothing was applied; trying again later may help.
 * - `full`: the disk of the server is full. Nothing was applied; reads still work.
 * - `read_only`: the server accepts no writes, as a standby. Nothing was applied; another server may accept them.
 * - `unavailable`: no connection could be opened. Nothing was sent.
 * - `lost`: the connection broke before a commit was sent. The server rolls back: nothing was applied.
 * - `unknown`: the connection broke while a commit was in flight. It may or may not have been applied.
 */
export type Failure = 'conflict' | 'busy' | 'full' | 'read_only' | 'unavailable' | 'lost' | 'unknown';

/**
 * The SQLSTATEs that are caused by the situation rather than by the statement. Source: PostgreSQL documentation,
 * appendix A. The code decides and not the class of the error: a 40001 at COMMIT is an error of the driver, and the same
 * code on a statement is an error of MikroORM.
 */
const bySqlState: Record<string, Failure> = {
  '40003': 'unknown', // statement_completion_unknown: CockroachDB's code for a lost answer
  '40001': 'conflict', // serialization_failure: refused at repeatable read or serializable
  '40P01': 'conflict', // deadlock_detected: the server ended this transaction to resolve a deadlock
  '55P03': 'busy', // lock_not_available: lock_timeout ran out, or NOWAIT found a lock
  '57014': 'busy', // query_canceled: statement_timeout ran out
  '53100': 'full', // disk_full: a file could not be extended
  '25006': 'read_only', // read_only_sql_transaction: this server is (or has become) a standby
};

/** An error of the connection rather than of the server: the driver reports these without a SQLSTATE. */
export class ConnectionError extends Error {
  override name = 'ConnectionError';
  // A plain property, because MikroORM wraps the error and copies its own properties, but not its prototype.
  readonly failure: Failure;

  constructor(failure: Failure, message: string, cause?: unknown) {
    super(message, { cause });
    this.failure = failure;
  }
}

/** The kind of failure of this error; undefined if it is none of them, but a defect or an invalid statement. */
export function failureOf(error: unknown): Failure | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const { failure, code, name } = error as { failure?: Failure; code?: string; name?: string };
  // MikroORM's error has no code. It is recognized by its name, because the counters also run where the ORM is not installed.
  if (name === 'OptimisticLockError') return 'conflict';
  return failure ?? (code === undefined ? undefined : bySqlState[code]);
}

export const isConflict = (error: unknown): boolean => failureOf(error) === 'conflict';

export const isReadOnly = (error: unknown): boolean => failureOf(error) === 'read_only';

/** Whether a wait for a lock reached its time limit. */
export const isLocked = (error: unknown): boolean => codeOf(error) === '55P03';

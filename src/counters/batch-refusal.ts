import { RetriesExhaustedError } from '../concurrency/retry.ts';
import { failureOf, isConflict, isLocked } from '../database/failure.ts';
import { codeOf } from '../errors/caught.ts';
import { Problem } from '../errors/problem.ts';

/** A request has to wait in the waiting room before it can be written; nothing of it was applied. */
export class HeldError extends Error {
  override name = 'HeldError';
  override message = 'a lock is held';
}

/** The row of a writer was removed like that of a writer that ended long ago. */
export class ForgottenWriterError extends Error {
  override name = 'ForgottenWriterError';
}

/**
 * What the server's refusal of a batch means; nothing of it was applied.
 * - `fenced`: its number has been used.
 * - `forgotten`: the row of its writer is missing.
 * - `unfit`: a row has expired, or its value would leave its bounds: the requests have to be decided one by one.
 */
export type Refusal = 'fenced' | 'forgotten' | 'unfit';

interface Rule {
  code: string;
  /** The table and the column that the server names; undefined: any. */
  table?: string;
  column?: string;
  /** A text that the message contains, in every language of the server. */
  text?: string;
  means: Refusal;
}

/** The rules that the statements in `sql.ts` break on purpose. */
const RULES: readonly Rule[] = [
  // not_null_violation: `fence` sets it to null.
  { code: '23502', table: 'writers', column: 'seq', means: 'fenced' },
  { code: '23502', table: 'writers', column: 'values', means: 'unfit' },
  // not_null_violation: an addition to an expired row.
  { code: '23502', table: 'counters', column: 'value', means: 'unfit' },
  // check_violation: the bounds of a counter, or of all counters.
  { code: '23514', table: 'counters', means: 'unfit' },
  // numeric_value_out_of_range: a sum beyond 64 bits.
  { code: '22003', means: 'unfit' },
  // invalid_text_representation: `failIfNot`.
  { code: '22P02', text: 'safe_counters: no writer', means: 'forgotten' },
];

/** @returns undefined: the server did not refuse a batch, but something else failed */
export function refusalOf(error: unknown): Refusal | undefined {
  if (error instanceof ForgottenWriterError) return 'forgotten';
  const { code, table, column, message = '' } = (error ?? {}) as Record<string, string | undefined>;
  return RULES.find(
    (rule) =>
      rule.code === code &&
      (rule.table === undefined || rule.table === table) &&
      (rule.column === undefined || rule.column === column) &&
      (rule.text === undefined || message.includes(rule.text)),
  )?.means;
}

/** Whether nothing was applied and another attempt, under a new number, can succeed. */
export const mayBeRetried = (error: unknown): boolean =>
  isConflict(error) ||
  isInterrupted(error) ||
  codeOf(error) === UNIQUE_VIOLATION ||
  /^(fenced|forgotten)$/.test(refusalOf(error) ?? '');

/** Another replica used the same key at the same moment: the next attempt finds it. */
const UNIQUE_VIOLATION = '23505';

/**
 * Whether the attempt was ended from outside: its statement was canceled, or its connection was closed. A time limit of the
 * role, or a program that ends sessions which wait, may have ended a wait for a lock, so the next attempt waits for less.
 */
export const isInterrupted = (error: unknown): boolean =>
  failureOf(error) === 'lost' || codeOf(error) === '57014';

/**
 * Whether an error can be due to one of the requests, whatever its code is: a trigger, a policy or a constraint of the
 * application refuses it. Most situations of the database concern all of them, and problems are those of a single request.
 */
export function mayBeOfOneRequest(error: unknown): boolean {
  if (error instanceof Problem || error instanceof HeldError) return false;
  const reason = error instanceof RetriesExhaustedError ? error.cause : error;
  const isOfServer = codeOf(reason) !== undefined;
  return failureOf(reason) === undefined || (isOfServer && (mayBeRetried(reason) || isLocked(reason)));
}

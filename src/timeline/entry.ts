import { type Static, Type } from 'typebox';
import { codeOf, messageOf } from '../errors/caught.ts';
import type { StatementObserver, StatementResult } from '../database/observed.ts';
import { summaryOf } from './statement-summary.ts';

const text = (description: string) => Type.String({ description });
const ms = (description: string) => Type.Number({ description: `${description}, in milliseconds` });

/** One step of a timeline, as in all answers of the API. */
export const timelineEntry = Type.Object({
  at_ms: ms('When the step began, after the start of the race or the experiment'),
  session: text('The name of the session: a worker of a race, a session of an experiment, or a task'),
  sql: Type.Optional(text('The SQL statement that was sent to the server')),
  event: Type.Optional(text('An event that is not a statement')),
  backend_pid: Type.Optional(
    Type.Integer({ description: 'The process id of the backend that executed the statement' }),
  ),
  took_ms: Type.Optional(ms('The time until the answer, including waits for locks')),
  summary: Type.Optional(text('What the statement read from a counter or wrote to it, in a few words')),
  rows: Type.Optional(
    Type.Array(Type.Unknown(), { description: 'The first rows of the answer, 10 at most' }),
  ),
  row_count: Type.Optional(Type.Integer({ description: 'Rows returned or written' })),
  command: Type.Optional(
    text('What the server did, if it differs from the statement: ROLLBACK in answer to a commit'),
  ),
  sqlstate: Type.Optional(
    text('The code of the error: a SQLSTATE of PostgreSQL, or a code of the operating system'),
  ),
  message: Type.Optional(text('The message of the error')),
  blocked_by: Type.Optional(
    Type.Array(Type.String(), {
      description: 'The names of the sessions whose locks the statement waited for',
    }),
  ),
  blocked_ms: Type.Optional(ms('The observed time of the wait')),
  part: Type.Optional(text('The part of the experiment to which the step belongs, if it has several')),
});

export type TimelineEntry = Static<typeof timelineEntry>;

const ROWS_MAX = 10;

/** Records one statement when it is sent. Its entry is complete once the statement has been answered. */
export class StatementRecord implements StatementObserver {
  readonly entry: TimelineEntry;
  readonly #sentAt = performance.now();
  readonly #onEnd: ((entry: TimelineEntry) => void) | undefined;
  #blockedAt: number | undefined;

  /**
   * @param beganAt when the timeline began, by `performance.now()`
   * @param onEnd called with the complete entry
   */
  constructor(
    session: string,
    sql: string,
    backendPid: number,
    beganAt: number,
    onEnd?: (entry: TimelineEntry) => void,
  ) {
    this.#onEnd = onEnd;
    this.entry = { at_ms: hundredths(this.#sentAt - beganAt), session, backend_pid: backendPid, sql };
  }

  answered({ rows = [], rowCount, command }: StatementResult): void {
    this.#end();
    if (rows.length > 0) this.entry.rows = rows.slice(0, ROWS_MAX);
    if (typeof rowCount === 'number') this.entry.row_count = rowCount;
    // A commit can end in ROLLBACK.
    if (command && !this.entry.sql?.toUpperCase().startsWith(command)) this.entry.command = command;
    this.#complete(false);
  }

  failed(error: unknown): void {
    this.#end();
    const code = codeOf(error);
    if (code) this.entry.sqlstate = code;
    this.entry.message = messageOf(error);
    this.#complete(true);
  }

  /** Records that the server reported this statement as waiting for those sessions. */
  blocked(by: readonly string[]): void {
    if (this.entry.took_ms !== undefined) return;
    this.#blockedAt ??= performance.now();
    this.entry.blocked_by ??= [...by];
  }

  #end(): void {
    const now = performance.now();
    this.entry.took_ms = hundredths(now - this.#sentAt);
    if (this.#blockedAt !== undefined) this.entry.blocked_ms = hundredths(now - this.#blockedAt);
  }

  #complete(failed: boolean): void {
    const summary = summaryOf({ sql: '', ...this.entry, failed });
    if (summary) this.entry.summary = summary;
    this.#onEnd?.(this.entry);
  }
}

/** Milliseconds, rounded to hundredths. */
export const hundredths = (exact: number): number => Math.round(exact * 100) / 100;

import { type Static, Type } from 'typebox';
import { codeOf, messageOf } from '../errors/caught.ts';
import type { StatementObserver, StatementResult } from './observed.ts';
import { summaryOf } from './statement-summary.ts';

const text = (description: string) => Type.String({ description });
const ms = (description: string) => Type.Number({ description: `${description}, in milliseconds` });

/** One step of a timeline, as every answer of the API shows it. */
export const timelineEntry = Type.Object({
  at_ms: ms('When it was begun, since the race or the experiment began'),
  session: text('The session: a worker of a race, a named session, or a task of the program'),
  sql: Type.Optional(text('What was sent to the server')),
  event: Type.Optional(text('What happened outside of it')),
  backend_pid: Type.Optional(Type.Integer({ description: 'The process that served it' })),
  took_ms: Type.Optional(ms('Until it was answered, waiting for locks included')),
  summary: Type.Optional(text('What it read from a counter or wrote to it, in a few words')),
  rows: Type.Optional(Type.Array(Type.Unknown(), { description: 'The first rows that came back' })),
  row_count: Type.Optional(Type.Integer({ description: 'Rows returned or written' })),
  command: Type.Optional(text('What the server did, where that is not what it was asked to do')),
  sqlstate: Type.Optional(text('How it failed: PostgreSQL’s code, or the system’s')),
  message: Type.Optional(text('How it failed, in words')),
  blocked_by: Type.Optional(
    Type.Array(Type.String(), { description: 'The sessions whose locks it waited for' }),
  ),
  blocked_ms: Type.Optional(ms('How long it was seen waiting')),
  part: Type.Optional(text('The run it belongs to, in an experiment that has several')),
});

export type TimelineEntry = Static<typeof timelineEntry>;

const ROWS_MAX = 10;

/** Records one statement as it goes over the wire. Its entry is complete once the statement has been answered. */
export class StatementRecord implements StatementObserver {
  readonly entry: TimelineEntry;
  readonly #sentAt = performance.now();
  readonly #onEnd: ((entry: TimelineEntry) => void) | undefined;
  #blockedAt: number | undefined;

  /**
   * @param beganAt when the timeline began, by `performance.now()`
   * @param onEnd told of the complete entry
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

  /** The server was seen to let this statement wait for those sessions. */
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

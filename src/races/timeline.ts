import { codeOf, messageOf } from '../errors/caught.ts';
import type { Increment } from './contender.ts';

/** One statement of a race, as the wire saw it. */
export interface Event {
  /** When it was sent, since the race began, and how long its answer took, waiting included. Milliseconds. */
  at_ms: number;
  took_ms: number;
  worker: number;
  backend_pid: number;
  sql: string;
  /** The likes that it read. */
  like?: number;
  /** Rows read or written. */
  rows?: number;
  /** The SQLSTATE, or the message, of what it failed with. */
  error?: string;
}

/** Enough to see what happened; a race can have many thousand statements. */
const EVENTS_MAX = 40;

/** The statements of two increments, if there is a pair to explain, and otherwise of the first ones, in time's order. */
export function timeline(history: readonly Increment[], pair?: readonly [Increment, Increment]): Event[] {
  const beginning = Math.min(...history.map((increment) => increment.startedAt));
  const shown = pair ?? history.toSorted((a, b) => a.startedAt - b.startedAt).slice(0, EVENTS_MAX);
  return shown
    .flatMap((increment) => increment.statements.map((statement) => event(beginning, increment, statement)))
    .toSorted((a, b) => a.at_ms - b.at_ms)
    .slice(0, EVENTS_MAX);
}

function event(beginning: number, by: Increment, statement: Increment['statements'][number]): Event {
  const { sql, startedAt, endedAt, row, rowCount, error } = statement;
  return {
    at_ms: rounded(startedAt - beginning),
    took_ms: rounded(endedAt - startedAt),
    worker: by.worker,
    backend_pid: by.backendPid,
    sql,
    ...(typeof row?.like === 'number' ? { like: row.like } : {}),
    ...(rowCount === null || rowCount === undefined ? {} : { rows: rowCount }),
    ...(error === undefined ? {} : { error: codeOf(error) ?? messageOf(error) }),
  };
}

const rounded = (ms: number): number => Math.round(ms * 100) / 100;

import { AsyncLocalStorage } from 'node:async_hooks';
import { codeOf, messageOf } from '../../errors/caught.ts';

/** One thing that somebody did, in the order in which it was begun. */
export interface Entry {
  /** Since the experiment began, in milliseconds. */
  at_ms: number;
  /** Who: a named session, or a task of the program. */
  session: string;
  /** What was sent to the server … */
  sql?: string;
  /** … or what happened outside of it. */
  event?: string;
  backend_pid?: number;
  took_ms?: number;
  /** The first rows that came back. */
  rows?: unknown[];
  /** Rows returned or written. */
  row_count?: number;
  /** What the server says it did, where that is not what it was asked to do: a commit can end in ROLLBACK. */
  command?: string;
  sqlstate?: string;
  message?: string;
  /** Whose locks the server said it waited for, and how long it was seen waiting. */
  blocked_by?: string[];
  blocked_ms?: number;
  /** The run it belongs to, in an experiment that has several. */
  part?: string;
}

/** What the driver says of a statement that succeeded. */
export interface Answer {
  rows?: unknown[] | undefined;
  rowCount?: number | null | undefined;
  command?: string | undefined;
}

const ROWS_MAX = 10;
const ENTRIES_MAX = 1000;

/** A statement that is not answered yet. */
interface Pending {
  entry: Entry;
  startedAt: number;
  blockedAt?: number;
}

/** Who did what and when, told by the statements on the wire. */
export class Timeline {
  readonly entries: Entry[] = [];
  /** The run that new entries belong to. */
  part: string | undefined;
  readonly #startedAt = performance.now();
  readonly #tasks = new AsyncLocalStorage<string>();
  readonly #pending = new Map<number, Pending>();
  readonly #names = new Map<number, string>();

  /** Everything that `work` does is told as done by `task`. */
  as<T>(task: string, work: () => T): T {
    return this.#tasks.run(task, work);
  }

  /** Something that is no statement. */
  note(session: string, event: string): void {
    this.#add({ at_ms: this.#now(), session, event });
  }

  /** A statement was sent. `answered` or `failed` must follow. */
  sent(session: string, backendPid: number, sql: string): Pending {
    const name = this.#tasks.getStore() ?? session;
    const entry: Entry = { at_ms: this.#now(), session: name, backend_pid: backendPid, sql };
    this.#add(entry);
    this.#names.set(backendPid, name);
    const pending = { entry, startedAt: performance.now() };
    this.#pending.set(backendPid, pending);
    return pending;
  }

  answered(pending: Pending, { rows = [], rowCount, command }: Answer): void {
    this.#ended(pending);
    const { entry } = pending;
    if (rows.length > 0) entry.rows = rows.slice(0, ROWS_MAX);
    if (typeof rowCount === 'number') entry.row_count = rowCount;
    if (command && !entry.sql?.toUpperCase().startsWith(command)) entry.command = command;
  }

  failed(pending: Pending, error: unknown): void {
    this.#ended(pending);
    const code = codeOf(error);
    if (code) pending.entry.sqlstate = code;
    pending.entry.message = messageOf(error);
  }

  /** The server was seen to let this backend wait for those. */
  blocked(backendPid: number, by: readonly number[]): void {
    const pending = this.#pending.get(backendPid);
    if (!pending) return;
    pending.blockedAt ??= performance.now();
    pending.entry.blocked_by ??= by.map((pid) => this.#names.get(pid) ?? `backend ${pid}`);
  }

  #ended(pending: Pending): void {
    const { entry, startedAt, blockedAt } = pending;
    const now = performance.now();
    entry.took_ms = tenths(now - startedAt);
    if (blockedAt !== undefined) entry.blocked_ms = tenths(now - blockedAt);
    const pid = entry.backend_pid ?? 0;
    if (this.#pending.get(pid) === pending) this.#pending.delete(pid);
  }

  #add(entry: Entry): void {
    if (this.part !== undefined) entry.part = this.part;
    if (this.entries.length < ENTRIES_MAX) this.entries.push(entry);
  }

  #now(): number {
    return tenths(performance.now() - this.#startedAt);
  }
}

const tenths = (ms: number) => Math.round(ms * 10) / 10;

import { AsyncLocalStorage } from 'node:async_hooks';
import type { Observe } from '../../database/observed.ts';
import { hundredths, StatementRecord, type TimelineEntry } from '../../timeline/entry.ts';

const ENTRIES_MAX = 1000;

/** Records the statements of all sessions, in the order in which they began. */
export class Timeline {
  readonly entries: TimelineEntry[] = [];
  /** The part of the experiment that new entries belong to. */
  part: string | undefined;
  readonly #beganAt = performance.now();
  readonly #tasks = new AsyncLocalStorage<string>();
  /** The last statement of each backend. */
  readonly #last = new Map<number, StatementRecord>();

  /** Attributes everything that `work` does to `task`. */
  as<T>(task: string, work: () => T): T {
    return this.#tasks.run(task, work);
  }

  /** Adds an event that is not a statement. */
  note(session: string, event: string): void {
    this.#add({ at_ms: hundredths(performance.now() - this.#beganAt), session, event });
  }

  /** Records the statements of a connection under this name; those of a task under the task's name. */
  observe(session: string): Observe {
    return (sql, backendPid) => {
      const name = this.#tasks.getStore() ?? session;
      const record = new StatementRecord(name, sql, backendPid, this.#beganAt);
      this.#last.set(backendPid, record);
      this.#add(record.entry);
      return record;
    };
  }

  /** Records that the server reported this backend as blocked by those. */
  blocked(backendPid: number, by: readonly number[]): void {
    this.#last
      .get(backendPid)
      ?.blocked(by.map((pid) => this.#last.get(pid)?.entry.session ?? `backend ${pid}`));
  }

  #add(entry: TimelineEntry): void {
    if (this.part !== undefined) entry.part = this.part;
    if (this.entries.length < ENTRIES_MAX) this.entries.push(entry);
  }
}

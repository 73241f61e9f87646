import { AsyncLocalStorage } from 'node:async_hooks';
import type { Observe } from '../../database/observed.ts';
import { hundredths, StatementRecord, type TimelineEntry } from '../../database/timeline.ts';

const ENTRIES_MAX = 1000;

/** Who did what and when, in the order in which it was begun, as the statements on the wire tell. */
export class Timeline {
  readonly entries: TimelineEntry[] = [];
  /** The run that new entries belong to. */
  part: string | undefined;
  readonly #beganAt = performance.now();
  readonly #tasks = new AsyncLocalStorage<string>();
  /** The last statement of each backend. */
  readonly #last = new Map<number, StatementRecord>();

  /** Everything that `work` does is told as done by `task`. */
  as<T>(task: string, work: () => T): T {
    return this.#tasks.run(task, work);
  }

  /** Something that is no statement. */
  note(session: string, event: string): void {
    this.#add({ at_ms: hundredths(performance.now() - this.#beganAt), session, event });
  }

  /** Records the statements of connections that go by this name; what a task sends goes by the task's. */
  observe(session: string): Observe {
    return (sql, backendPid) => {
      const name = this.#tasks.getStore() ?? session;
      const record = new StatementRecord(name, sql, backendPid, this.#beganAt);
      this.#last.set(backendPid, record);
      this.#add(record.entry);
      return record;
    };
  }

  /** The server was seen to let this backend wait for those. */
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

import type { DiskWatch } from './disk-watch.ts';
import { ConnectionError, isReadOnly } from './failure.ts';
import type { DatabaseLog } from './pool.ts';
import { type Risk, risks, type ServerState, serverState } from './server-state.ts';
import type { Sessions } from './sessions.ts';

/** Reads the state of the server on demand, and logs what has changed since the last time. */
export class ServerWatch {
  readonly #sessions: Sessions;
  readonly #disk: DiskWatch;
  readonly #log: DatabaseLog;
  #readOnly = false;
  #risks: readonly Risk[] = [];

  constructor(sessions: Sessions, disk: DiskWatch, log: DatabaseLog) {
    this.#sessions = sessions;
    this.#disk = disk;
    this.#log = log;
  }

  /**
   * Reads the state in one round trip.
   *
   * @returns the state; a server that accepts no writes is not an error
   * @throws {ConnectionError} when the server does not answer within `deadlineMs` milliseconds
   */
  async ask(deadlineMs: number): Promise<ServerState> {
    const asked = this.#ask();
    // It may fail after the deadline, when no caller waits for it any longer.
    asked.catch(() => {});
    const late = Promise.withResolvers<never>();
    const error = new ConnectionError('unavailable', `the database did not answer within ${deadlineMs} ms`);
    const timer = setTimeout(() => late.reject(error), deadlineMs);
    try {
      const state = this.#withDisk(await Promise.race([asked, late.promise]));
      this.#note(state);
      return state;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Asks again on a new connection if the server accepts no writes: another server may be the primary by now. */
  async #ask(): Promise<ServerState> {
    try {
      const state = await serverState(this.#sessions);
      if (!state.readOnly) return state;
      this.#sessions.empty();
      return await serverState(this.#sessions);
    } catch (error) {
      // Servers answered, and none of them accepts writes.
      if (isReadOnly(error)) return { readOnly: true, risks: [], oldestSnapshotAge: undefined };
      throw error;
    }
  }

  #withDisk(state: ServerState): ServerState {
    return this.#disk.isFull ? { ...state, risks: [...state.risks, 'disk_full'] } : state;
  }

  #note({ readOnly, risks: now }: ServerState): void {
    if (readOnly) this.#sessions.empty();
    if (readOnly && !this.#readOnly)
      this.#log.warn('the database accepts no writes: it is a standby, or read-only');
    if (!readOnly && this.#readOnly) this.#log.info('the database accepts writes again');
    this.#readOnly = readOnly;
    // A standby does not know the risks of its primary.
    if (readOnly) return;
    for (const risk of now) if (!this.#risks.includes(risk)) this.#log.warn(risks[risk]);
    for (const risk of this.#risks) if (!now.includes(risk)) this.#log.info(`risk resolved: ${risks[risk]}`);
    this.#risks = now;
  }
}

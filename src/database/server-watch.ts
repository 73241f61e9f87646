import { ConnectionError, isReadOnly } from './failure.ts';
import type { DatabaseLog } from './orm.ts';
import { type Risk, risks, type ServerState, serverState } from './server-state.ts';
import type { Sessions } from './sessions.ts';

/** Asks the server for its state on demand, and logs what has changed since. */
export class ServerWatch {
  readonly #sessions: Sessions;
  readonly #log: DatabaseLog;
  #readOnly = false;
  #risks: readonly Risk[] = [];

  constructor(sessions: Sessions, log: DatabaseLog) {
    this.#sessions = sessions;
    this.#log = log;
  }

  /**
   * A real round trip.
   *
   * @returns what the server says; a server that takes no writes is no error
   * @throws {ConnectionError} when it cannot be asked, or takes longer than `deadlineMs` milliseconds
   */
  async ask(deadlineMs: number): Promise<ServerState> {
    const asked = this.#ask();
    // It may fail after the last reader has stopped waiting.
    asked.catch(() => {});
    const late = Promise.withResolvers<never>();
    const error = new ConnectionError('unavailable', `the database did not answer within ${deadlineMs} ms`);
    const timer = setTimeout(() => late.reject(error), deadlineMs);
    try {
      const state = await Promise.race([asked, late.promise]);
      this.#note(state);
      return state;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Of a new connection, where an old one leads to a server that takes no writes: it may not be the right one any more. */
  async #ask(): Promise<ServerState> {
    try {
      const state = await serverState(this.#sessions);
      if (!state.readOnly) return state;
      this.#sessions.empty();
      return await serverState(this.#sessions);
    } catch (error) {
      // Servers answer, and none of them takes writes.
      if (isReadOnly(error)) return { readOnly: true, risks: [], oldestSnapshotAge: undefined };
      throw error;
    }
  }

  #note({ readOnly, risks: now }: ServerState): void {
    if (readOnly) this.#sessions.empty();
    if (readOnly && !this.#readOnly)
      this.#log.warn('the database takes no writes: it is read-only, as a standby is');
    if (!readOnly && this.#readOnly) this.#log.info('the database takes writes again');
    this.#readOnly = readOnly;
    // A standby does not know what its primary promises.
    if (readOnly) return;
    for (const risk of now) if (!this.#risks.includes(risk)) this.#log.warn(risks[risk]);
    for (const risk of this.#risks) if (!now.includes(risk)) this.#log.info(`not any more: ${risks[risk]}`);
    this.#risks = now;
  }
}

import { withinDeadline } from './deadline.ts';
import type { DiskWatch } from './disk-watch.ts';
import { isReadOnly } from './failure.ts';
import type { DatabaseLog } from './pool.ts';
import { type Risk, risks, type ServerState, serverState } from './server-state.ts';
import type { Sessions } from './sessions.ts';

/** Reads the state of the server on demand, and logs what has changed since the last time. */
export class ServerWatch {
  readonly #sessions: Sessions;
  readonly #schema: string;
  readonly #disk: DiskWatch;
  readonly #log: DatabaseLog;
  #readOnly = false;
  #risks: readonly Risk[] = [];

  /** @param schema that of the counters */
  constructor(sessions: Sessions, schema: string, disk: DiskWatch, log: DatabaseLog) {
    this.#sessions = sessions;
    this.#schema = schema;
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
    const state = this.#withDisk(await withinDeadline(this.#ask(), deadlineMs));
    this.#note(state);
    return state;
  }

  /** Asks again on a new connection if the server accepts no writes: another server may be the primary by now. */
  async #ask(): Promise<ServerState> {
    try {
      const state = await serverState(this.#sessions, this.#schema);
      if (!state.readOnly) return state;
      this.#sessions.empty();
      return await serverState(this.#sessions, this.#schema);
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

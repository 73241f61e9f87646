import { setTimeout } from 'node:timers/promises';
import type { Client } from 'pg';
import type { Timeline } from './timeline.ts';

/** Between two polls, in milliseconds: pg_blocking_pids takes locks that every other session needs, too. */
const PAUSE_MS = 2;

/** A pause between two polls of the server. */
export const pause = (): Promise<void> => setTimeout(PAUSE_MS);

/** A backend of the run, from pg_stat_activity. */
interface Backend {
  pid: number;
  /** The session that it serves. */
  name: string;
  state: string | null;
  /** The other backends of the run whose locks it waits for. */
  blockedBy: number[];
}

/** Asks the server, on its own connection, which backends wait for which. */
export class Observer {
  readonly #client: Client;
  readonly #run: string;
  readonly #timeline: Timeline;

  constructor(client: Client, run: string, timeline: Timeline) {
    this.#client = client;
    this.#run = run;
    this.#timeline = timeline;
  }

  /**
   * The current backends of the run, except the observer's own.
   *
   * @throws the server's error 42883 where it has no pg_blocking_pids
   */
  async poll(): Promise<Backend[]> {
    // By name and not by the driver's pid, because a pooler reports pids that are not those of the server.
    const { rows } = await this.#client.query<Backend>(
      `select pid, substr(application_name, length($1) + 2) as name, state, pg_blocking_pids(pid) as "blockedBy"
       from pg_stat_activity where starts_with(application_name, $1) and pid <> pg_backend_pid()`,
      [this.#run],
    );
    const ours = new Set(rows.map(({ pid }) => pid));
    // Waits for other processes, such as a vacuum, are ignored: they end by themselves.
    const backends = rows.map((row) => ({ ...row, blockedBy: row.blockedBy.filter((pid) => ours.has(pid)) }));
    for (const { pid, blockedBy } of backends)
      if (blockedBy.length > 0) this.#timeline.blocked(pid, blockedBy);
    return backends;
  }

  /** Polls until the condition holds. Bounded by the experiment's time limit, which closes the connection. */
  async until(seen: (backends: Backend[]) => boolean): Promise<Backend[]> {
    for (;;) {
      const backends = await this.poll();
      if (seen(backends)) return backends;
      await pause();
    }
  }

  /** Waits until at least `count` backends of the run are blocked by others of the run. */
  untilBlocked(count: number): Promise<Backend[]> {
    return this.until((backends) => blocked(backends).length >= count);
  }
}

export const blocked = (backends: Backend[]): Backend[] =>
  backends.filter(({ blockedBy }) => blockedBy.length > 0);

import { Background } from '../concurrency/background.ts';
import { Semaphore } from '../concurrency/semaphore.ts';
import { failureOf } from '../database/failure.ts';
import type { Sessions } from '../database/sessions.ts';
import { PartlyDoneError } from '../errors/problem.ts';
import { type Increment, type Race, Worker } from './worker.ts';

export interface RaceResult {
  workers: { worker: number; backend_pid: number; acknowledged: number; conflicts: number }[];
  /** The increments of all workers, in no particular order; times are those of `performance.now()`. */
  history: Increment[];
  acknowledged: number;
  /** Attempts that met a conflict. */
  conflicts: number;
  /** Attempts after the first one. */
  retries: number;
  durationMs: number;
}

/** A race that was not completed. The reason is its `cause`. */
export class UnfinishedRaceError extends PartlyDoneError {
  /** The result until then. */
  readonly result: RaceResult;

  constructor(result: RaceResult, cause: unknown) {
    super(result.acknowledged, cause);
    this.result = result;
  }
}

/**
 * Runs races with a limited number of sessions. Each running worker has its own session. If a race has more workers than
 * there are sessions, the others start when a session is free; other races wait until enough sessions are free.
 */
export class Arena {
  readonly #sessions: Sessions;
  readonly #seats: Semaphore;
  readonly #background: Pick<Background, 'turn'>;

  /** @param background each increment waits for its turn; by default there is no foreground to yield to */
  constructor(sessions: Sessions, seats: number, background: Pick<Background, 'turn'> = new Background()) {
    this.#sessions = sessions;
    this.#background = background;
    this.#seats = new Semaphore({ permits: seats, queueMax: 1000, waitMsMax: 60_000 });
  }

  /**
   * Starts the workers at the same moment and waits until all of them have finished.
   *
   * @throws {QueueFullError} when too many races are waiting, or this one has waited too long
   * @throws {UnfinishedRaceError} when the race did not finish: an increment failed, a connection broke, or the signal
   *   was aborted. Increments in flight are completed first
   */
  async run(race: Race): Promise<RaceResult> {
    const seats = Math.min(race.workers, this.#seats.permits);
    const release = await this.#seats.acquire(seats, race.signal);
    const stop = new AbortController();
    const signal = AbortSignal.any([race.signal, stop.signal]);
    const workers = Array.from(
      { length: race.workers },
      (_, i) => new Worker({ ...race, signal, background: this.#background }, i + 1),
    );
    const waiting = [...workers];
    const start = startingGate(seats);
    let unknown: unknown;
    const seat = async () => {
      try {
        await this.#seat(waiting, () => start.arrive());
      } catch (error) {
        // A worker that fails ends the race for all workers, including those that still wait for the start.
        if (failureOf(error) === 'unknown') unknown ??= error;
        stop.abort(error);
        start.cancel(error);
      } finally {
        release();
      }
    };
    await Promise.all(Array.from({ length: seats }, seat));
    const result = summary(workers);
    if (!signal.aborted) return result;
    // An unknown outcome is reported rather than any other error.
    throw new UnfinishedRaceError(result, unknown ?? signal.reason);
  }

  /** Runs workers one after another in one session, until none is waiting. */
  #seat(waiting: Worker[], start: () => Promise<number>): Promise<void> {
    let worker: Worker | undefined;
    return this.#sessions.withSession(
      async ({ backendPid }) => {
        const beganAt = await start();
        for (worker = waiting.shift(); worker; worker = waiting.shift()) {
          await worker.run(backendPid, beganAt);
        }
      },
      (sql, backendPid) => worker?.observe?.(sql, backendPid),
    );
  }
}

/** Opens when all runners have arrived, and returns the time. Workers that start at different times hardly contend. */
function startingGate(runners: number) {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  promise.catch(() => {});
  let missing = runners;
  return {
    arrive(): Promise<number> {
      missing -= 1;
      if (missing === 0) resolve(performance.now());
      return promise;
    },
    cancel: reject,
  };
}

function summary(workers: Worker[]): RaceResult {
  const history = workers.flatMap((worker) => worker.history);
  const sum = (of: (worker: Worker) => number) => workers.reduce((total, one) => total + of(one), 0);
  return {
    workers: workers.map(({ worker, backendPid, acknowledged, conflicts }) => ({
      worker,
      backend_pid: backendPid,
      acknowledged,
      conflicts,
    })),
    history,
    acknowledged: sum((one) => one.acknowledged),
    conflicts: sum((one) => one.conflicts),
    retries: sum((one) => one.retries),
    durationMs:
      history.length > 0
        ? Math.max(...history.map((add) => add.endedAt)) - Math.min(...history.map((add) => add.startedAt))
        : 0,
  };
}

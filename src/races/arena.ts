import { Background } from '../concurrency/background.ts';
import { Semaphore } from '../concurrency/semaphore.ts';
import { failureOf } from '../database/failure.ts';
import type { Sessions } from '../database/sessions.ts';
import { PartlyDoneError } from '../errors/problem.ts';
import { type Increment, type Race, Worker } from './worker.ts';

export interface RaceResult {
  workers: { worker: number; backend_pid: number; acknowledged: number; conflicts: number }[];
  /** What each worker asked for and got, in no particular order; times of `performance.now()`. */
  history: Increment[];
  acknowledged: number;
  /** Attempts that met a conflict. */
  conflicts: number;
  /** Attempts after the first one. */
  retries: number;
  durationMs: number;
}

/** A race that was not run to its end, for the reason that is the cause. */
export class UnfinishedRaceError extends PartlyDoneError {
  /** What had been done by then. */
  readonly result: RaceResult;

  constructor(result: RaceResult, cause: unknown) {
    super(result.acknowledged, cause);
    this.result = result;
  }
}

/**
 * Where races are run: as many workers at once as there are sessions, for all races together. Further workers
 * of a race begin when one of its sessions is free; other races wait until they can begin.
 */
export class Arena {
  readonly #sessions: Sessions;
  readonly #seats: Semaphore;
  readonly #background: Pick<Background, 'turn'>;

  /** @param background what each increment awaits its turn of; undefined: there is no foreground */
  constructor(sessions: Sessions, seats: number, background: Pick<Background, 'turn'> = new Background()) {
    this.#sessions = sessions;
    this.#background = background;
    this.#seats = new Semaphore({ permits: seats, queueMax: 1000, waitMsMax: 60_000 });
  }

  /**
   * Lets the workers loose at the same moment and waits until all of them are done.
   *
   * @throws {QueueFullError} when too many races are waiting, or this one did for too long
   * @throws {UnfinishedRaceError} when the race could not be run to its end: an increment that did not get through, a
   *   connection that broke, the signal that was aborted. The increments under way are finished first
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
        // One that cannot go on ends the race for all, also for those that wait for it at the start.
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
    // An outcome that cannot be known must be said, whatever else went wrong.
    throw new UnfinishedRaceError(result, unknown ?? signal.reason);
  }

  /** Lets workers run one after another in one session, until none waits any more. */
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

/** Opens when all have arrived, and tells them when: a race whose workers do not start together is none. */
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

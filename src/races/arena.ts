import { Semaphore } from '../concurrency/semaphore.ts';
import { failureOf } from '../database/failure.ts';
import type { Sessions, Statement } from '../database/sessions.ts';
import { PartlyDoneError } from '../errors/problem.ts';
import { type Assignment, Contender, type Increment } from './contender.ts';
import { type Narrator, narrator } from './narrator.ts';

export interface Race extends Assignment {
  /** How many contend. */
  contenders: number;
  /** Whether each increment keeps the statements that it took. */
  record?: boolean;
}

export interface RaceResult {
  workers: { worker: number; backend_pid: number; acknowledged: number; conflicts: number }[];
  /** What each contender asked for and got, in no particular order; times of `performance.now()`. */
  history: Increment[];
  acknowledged: number;
  /** Attempts that somebody else was faster than. */
  conflicts: number;
  /** Attempts after the first one. */
  retries: number;
  durationMs: number;
}

/**
 * Where races are run: as many contenders at once as there are sessions, for all races together. Further
 * contenders of a race begin when one of its sessions is free; other races wait until they can begin.
 */
export class Arena {
  readonly #sessions: Sessions;
  readonly #seats: Semaphore;

  constructor(sessions: Sessions, seats: number) {
    this.#sessions = sessions;
    this.#seats = new Semaphore({ permits: seats, queueMax: 1000, waitMsMax: 60_000 });
  }

  /**
   * Lets the contenders loose at the same moment and waits until all of them are done.
   *
   * @throws {QueueFullError} when too many races are waiting, or this one did for too long
   * @throws {PartlyDoneError} when the race could not be run to its end: an increment that did not get through, a
   *   connection that broke, the signal that was aborted. The increments under way are finished first
   */
  async run(race: Race): Promise<RaceResult> {
    const seats = Math.min(race.contenders, this.#seats.permits);
    const release = await this.#seats.acquire(seats, race.signal);
    const stop = new AbortController();
    const signal = AbortSignal.any([race.signal, stop.signal]);
    const contenders = Array.from(
      { length: race.contenders },
      (_, i) => new Contender({ ...race, signal }, i + 1),
    );
    const waiting = [...contenders];
    const start = startingGate(seats);
    let unknown: unknown;
    const seat = async () => {
      const listener = new Listener(race);
      try {
        await this.#sessions.withSession(async ({ backendPid }) => {
          await start.arrive();
          for (let contender = waiting.shift(); contender; contender = waiting.shift()) {
            listener.follow(contender, backendPid);
            await contender.run(backendPid);
          }
        }, listener.onStatement);
      } catch (error) {
        // One that cannot go on ends the race for all, also for those who wait for it at the start.
        if (failureOf(error) === 'unknown') unknown ??= error;
        stop.abort(error);
        start.cancel(error);
      } finally {
        release();
      }
    };
    await Promise.all(Array.from({ length: seats }, seat));
    if (!signal.aborted) return summary(contenders);
    // Whatever else went wrong: that nobody can know the outcome must be said.
    const done = contenders.reduce((sum, one) => sum + one.acknowledged, 0);
    throw new PartlyDoneError(done, unknown ?? signal.reason);
  }
}

/** Passes on what a session says, to whoever runs in it, and to the log; to nobody, when nobody wants to know. */
class Listener {
  readonly onStatement: ((statement: Statement) => void) | undefined;
  readonly #narrator: Narrator | undefined;
  #contender: Contender | undefined;

  constructor({ record, log }: Race) {
    this.#narrator = ['debug', 'trace'].includes(log.level) ? narrator(log) : undefined;
    if (!record && !this.#narrator) return;
    this.onStatement = (statement) => {
      if (record) this.#contender?.record(statement);
      this.#narrator?.hear(statement);
    };
  }

  follow(contender: Contender, backendPid: number): void {
    this.#contender = contender;
    this.#narrator?.begin(contender.worker, backendPid);
  }
}

/** Opens when all have arrived: a race in which one starts before the others are connected is none. */
function startingGate(runners: number) {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  promise.catch(() => {});
  let missing = runners;
  return {
    arrive(): Promise<void> {
      missing -= 1;
      if (missing === 0) resolve();
      return promise;
    },
    cancel: reject,
  };
}

function summary(contenders: Contender[]): RaceResult {
  const history = contenders.flatMap((contender) => contender.history);
  const sum = (of: (contender: Contender) => number) => contenders.reduce((total, one) => total + of(one), 0);
  return {
    workers: contenders.map(({ worker, backendPid, acknowledged, conflicts }) => ({
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
      Math.max(...history.map((add) => add.endedAt)) - Math.min(...history.map((add) => add.startedAt)),
  };
}

import type { Add } from '../concurrency/history.ts';
import { Semaphore } from '../concurrency/semaphore.ts';
import type { Sessions } from '../database/sessions.ts';
import { type Assignment, Contender } from './contender.ts';
import { narrator } from './narrator.ts';

export interface Race extends Assignment {
  /** How many contend. */
  contenders: number;
}

export interface RaceResult {
  workers: { worker: number; backend_pid: number; acknowledged: number; conflicts: number }[];
  /** What each contender asked for and got, in no particular order; times of `performance.now()`. */
  history: Add[];
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
    this.#seats = new Semaphore({ permits: seats, queueMax: 1000, waitMsMax: 30_000 });
  }

  /**
   * Lets the contenders loose at the same moment and waits until all of them are done.
   *
   * @throws {QueueFullError} when too many races are waiting, or this one did for too long
   * @throws {RetriesExhaustedError} when an increment could not get through
   * @throws {OutcomeUnknownError} when a connection broke during a commit
   * @throws the signal's reason when it is aborted: the increments under way are finished first
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
    const seat = async () => {
      const narrate = ['debug', 'trace'].includes(race.log.level) ? narrator(race.log) : undefined;
      try {
        await this.#sessions.withSession(async ({ backendPid }) => {
          await start.arrive();
          for (let contender = waiting.shift(); contender; contender = waiting.shift()) {
            narrate?.begin(contender.worker, backendPid);
            await contender.run(backendPid);
          }
        }, narrate?.hear);
      } catch (error) {
        // One that cannot go on ends the race for all, also for those who wait for it at the start.
        stop.abort(error);
        start.cancel(error);
      } finally {
        release();
      }
    };
    await Promise.all(Array.from({ length: seats }, seat));
    signal.throwIfAborted();
    return summary(contenders);
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

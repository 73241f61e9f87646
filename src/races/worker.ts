import type { EntityManager } from '@mikro-orm/postgresql';
import type { FastifyBaseLogger } from 'fastify';
import type { Background } from '../concurrency/background.ts';
import type { Add } from '../concurrency/history.ts';
import type { Observe } from '../database/observed.ts';
import { StatementRecord, type TimelineEntry } from '../timeline/entry.ts';
import { runStrategy } from '../likes/run.ts';
import type { Strategy } from '../likes/strategy.ts';
import { narrator } from './narrator.ts';

export interface Race {
  strategy: Strategy;
  /** The post to increment. */
  pk: number;
  /** The number of workers. */
  workers: number;
  /** The number of increments of each worker. */
  increments: number;
  /** The EntityManager for one attempt, with an empty identity map. */
  newSession: () => EntityManager;
  signal: AbortSignal;
  /** The time limit for the retries of each increment, in milliseconds. */
  retryMsMax?: number | undefined;
  log: FastifyBaseLogger;
  /** Called with each increment when its outcome is known. */
  onIncrement?: ((increment: Increment) => void) | undefined;
  /** Whether the statements of each increment are recorded. */
  record?: boolean;
}

interface RunningRace extends Race {
  background: Pick<Background, 'turn'>;
}

/** One increment, with its worker and, if they are recorded, its statements. */
export interface Increment extends Add {
  soldOut?: boolean;
  worker: number;
  statements: TimelineEntry[];
}

/** Runs increments one after another and records their outcomes. */
export class Worker {
  readonly worker: number;
  readonly history: Increment[] = [];
  backendPid = 0;
  /** Attempts that met a conflict. */
  conflicts = 0;
  /** Attempts after the first one. */
  retries = 0;
  /** Observes its statements while it runs. */
  observe: Observe | undefined;
  readonly #race: RunningRace;
  #statements: TimelineEntry[] = [];

  constructor(race: RunningRace, worker: number) {
    this.#race = race;
    this.worker = worker;
  }

  get acknowledged(): number {
    return this.history.filter((add) => add.outcome === 'acknowledged').length;
  }

  /**
   * Runs all increments in the session that it is called in.
   *
   * @param beganAt when the race began, by `performance.now()`
   */
  async run(backendPid: number, beganAt: number): Promise<void> {
    this.backendPid = backendPid;
    const { strategy, pk, increments, newSession, signal, retryMsMax, onIncrement, background } = this.#race;
    const { worker } = this;
    const log = this.#race.log.child({ worker, backend_pid: backendPid });
    this.observe = this.#observer(log, beganAt);
    const options = { newSession, signal, retryMsMax, log };
    for (let i = 0; i < increments; i += 1) {
      await background.turn();
      signal.throwIfAborted();
      this.#statements = [];
      const startedAt = performance.now();
      const { conflicts, retries, ...done } = await runStrategy(strategy, pk, options);
      const endedAt = performance.now();
      this.conflicts += conflicts;
      this.retries += retries;
      const increment = { startedAt, endedAt, by: 1, ...done, worker, statements: this.#statements };
      this.history.push(increment);
      onIncrement?.(increment);
    }
  }

  /** Records each statement with its increment, and logs it at level debug; undefined if neither is wanted. */
  #observer(log: FastifyBaseLogger, beganAt: number): Observe | undefined {
    const { record: recorded } = this.#race;
    const narrate = ['debug', 'trace'].includes(log.level) ? narrator(log) : undefined;
    if (!recorded && !narrate) return undefined;
    return (sql, backendPid) => {
      const record = new StatementRecord(`worker ${this.worker}`, sql, backendPid, beganAt, narrate);
      if (recorded) this.#statements.push(record.entry);
      return record;
    };
  }
}

import { Semaphore } from '../concurrency/semaphore.ts';
import type { LabContext } from './bench/session-options.ts';
import { type Experiment, type Findings, runExperiment } from './bench/experiment.ts';

/** The maximum number of concurrent experiments. Each opens a few connections in addition to those of the service's pool. */
const EXPERIMENTS_MAX = 2;

/** The time limit for an experiment, in milliseconds. Most take less than 0.1 s; a deadlock takes 1 to 2 s. */
const EXPERIMENT_MS_MAX = 20_000;

/** Runs experiments, a few at a time, with a bounded queue and a time limit for each. */
export class Laboratory {
  readonly #context: Omit<LabContext, 'signal'>;
  readonly #permits = new Semaphore({ permits: EXPERIMENTS_MAX, queueMax: 50, waitMsMax: 60_000 });

  constructor(context: Omit<LabContext, 'signal'>) {
    this.#context = context;
  }

  /**
   * @throws {QueueFullError} when too many are waiting, or this one waited too long
   * @throws what the experiment throws; the signal's reason when it is aborted, a TimeoutError at the time limit
   */
  run(experiment: Experiment, stop: AbortSignal): Promise<Findings> {
    const runInTime = () => {
      const signal = AbortSignal.any([stop, AbortSignal.timeout(EXPERIMENT_MS_MAX)]);
      return runExperiment(experiment, { ...this.#context, signal });
    };
    return this.#permits.run(runInTime, stop);
  }
}

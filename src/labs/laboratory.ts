import { Semaphore } from '../concurrency/semaphore.ts';
import type { LabContext } from './bench/context.ts';
import type { Experiment, Findings } from './experiment.ts';

/** Experiments at once: each takes a handful of connections of its own, besides those of the service's pool. */
const EXPERIMENTS_MAX = 2;

/** How long one may take, in milliseconds. They take some hundredths of a second; a deadlock takes one or two. */
const EXPERIMENT_MS_MAX = 20_000;

/** Where experiments are run: a few at once, the others wait their turn, and none goes on for ever. */
export class Laboratory {
  readonly #context: Omit<LabContext, 'signal'>;
  readonly #benches = new Semaphore({ permits: EXPERIMENTS_MAX, queueMax: 50, waitMsMax: 60_000 });

  constructor(context: Omit<LabContext, 'signal'>) {
    this.#context = context;
  }

  /**
   * @throws {QueueFullError} when too many are waiting, or this one did for too long
   * @throws what the experiment throws; the signal's reason, or a TimeoutError, when it had to stop
   */
  async run(experiment: Experiment, stop: AbortSignal): Promise<Findings> {
    const leave = await this.#benches.acquire(1, stop);
    try {
      const signal = AbortSignal.any([stop, AbortSignal.timeout(EXPERIMENT_MS_MAX)]);
      return await experiment.run({ ...this.#context, signal });
    } finally {
      leave();
    }
  }
}

import { setTimeout } from 'node:timers/promises';
import type { MikroORM } from '@mikro-orm/postgresql';
import type { Semaphore } from '../concurrency/semaphore.ts';
import { problemOf } from '../http/problem-of.ts';
import { sseEvent } from '../http/sse.ts';
import type { Arena } from './arena.ts';
import { runTrial, stockOf, type Trial, type TrialResult } from './trial.ts';

/** The interval between two progress events, in milliseconds. */
const PROGRESS_MS = 50;

/**
 * Runs the trials one after another and reports them as server-sent events. The caller aborts the trials' signal when
 * the client disconnects.
 */
export async function* liveRaces(
  orm: MikroORM,
  arena: Arena,
  turn: Semaphore,
  trials: readonly Trial[],
): AsyncGenerator<string> {
  const signal = trials[0]?.signal;
  try {
    yield sseEvent('waiting', { strategies: trials.map(({ strategy }) => strategy.name) });
    const release = await turn.acquire(1, signal);
    try {
      for (const trial of trials) yield* liveTrial(orm, arena, trial);
    } finally {
      release();
    }
    yield sseEvent('end', {});
  } catch (error) {
    // The status has already been sent: a problem can only be reported as one more event.
    const { code, message } = problemOf(error);
    yield sseEvent('problem', { code, detail: message });
  }
}

async function* liveTrial(orm: MikroORM, arena: Arena, trial: Trial): AsyncGenerator<string> {
  const { strategy } = trial;
  const progress = { strategy: strategy.name, attempted: 0, acknowledged: 0, likes: 0 };
  yield sseEvent('start', {
    strategy: strategy.name,
    claim: strategy.claim,
    expected: stockOf(trial) ?? trial.workers * trial.increments,
  });
  const running = runTrial(orm, arena, {
    ...trial,
    onIncrement({ outcome, value }) {
      progress.attempted += 1;
      if (outcome === 'acknowledged') progress.acknowledged += 1;
      // The last value that was written. Strategies that do not know it are exact: their count is the acknowledged number.
      progress.likes = value ?? progress.acknowledged;
    },
  });
  try {
    for (let result: TrialResult | undefined; !result; ) {
      result = await Promise.race([running, setTimeout(PROGRESS_MS, undefined)]);
      yield sseEvent('progress', progress);
      if (result) yield sseEvent('result', result);
    }
  } finally {
    // When the client disconnects, the race is aborted. Its turn ends only after it has stopped.
    await running.catch(() => {});
  }
}

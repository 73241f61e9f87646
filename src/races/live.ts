import { setTimeout } from 'node:timers/promises';
import type { MikroORM } from '@mikro-orm/postgresql';
import type { Semaphore } from '../concurrency/semaphore.ts';
import { problemOf } from '../http/problem-of.ts';
import { sseEvent } from '../http/sse.ts';
import type { Arena } from './arena.ts';
import { runTrial, type Trial, type TrialResult } from './trial.ts';

/** How often a race says how far it is, in milliseconds. */
const PROGRESS_MS = 50;

/**
 * Runs the trials one after another and tells of them as server-sent events. The caller aborts the trials' signal when
 * the client stops listening.
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
    const leave = await turn.acquire(1, signal);
    try {
      for (const trial of trials) yield* liveTrial(orm, arena, trial);
    } finally {
      leave();
    }
    yield sseEvent('end', {});
  } catch (error) {
    // The head of the answer is long gone: a problem can only be one more event.
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
    expected: trial.workers * trial.increments,
  });
  const running = runTrial(orm, arena, {
    ...trial,
    onIncrement({ outcome, value }) {
      progress.attempted += 1;
      if (outcome === 'acknowledged') progress.acknowledged += 1;
      // The last value that was written; a strategy that cannot know it is exact, so it is what was acknowledged.
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
    // When the client has gone, the race is told to stop, and its turn ends when it has.
    await running.catch(() => {});
  }
}

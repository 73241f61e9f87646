import type { MikroORM } from '@mikro-orm/postgresql';
import type { Static } from 'typebox';
import { checkBound, checkValues, type Read, witness } from '../concurrency/history.ts';
import { Post } from '../strategies/post.ts';
import type { Claim, Strategy } from '../strategies/strategy.ts';
import type { Arena, RaceResult } from './arena.ts';
import type { trialResult } from './schemas.ts';
import type { Increment, Race } from './worker.ts';
import { timeline } from './timeline.ts';

export type Trial = Pick<Race, 'strategy' | 'workers' | 'increments' | 'signal' | 'log' | 'onIncrement'>;

/** What came of one strategy's race on a post of its own, and whether that is what the strategy claims. */
export type TrialResult = Static<typeof trialResult>;

/**
 * Races a strategy on a new post, counts, and removes the post again, whatever happens.
 *
 * @throws as `Arena.run`
 */
export async function runTrial(orm: MikroORM, arena: Arena, trial: Trial): Promise<TrialResult> {
  const { strategy } = trial;
  const em = orm.em.fork();
  const pk = await em.insert(Post, { like: 0, version: 1, modifiedAt: new Date() });
  try {
    const newSession = () => orm.em.fork();
    const result = await arena.run({ ...trial, pk, newSession, record: true });
    const startedAt = performance.now();
    const final = await (strategy.count?.(em, pk) ?? likesOf(em, pk));
    const read = { startedAt, endedAt: performance.now(), value: final };
    return {
      strategy: strategy.name,
      claim: strategy.claim,
      ...judge(strategy, result, read),
      ...figures(result),
    };
  } finally {
    await em.nativeDelete(Post, pk);
  }
}

async function likesOf(em: MikroORM['em'], pk: number): Promise<number> {
  return (await em.findOneOrFail(Post, pk, { refresh: true })).like;
}

/** The verdict, by the rules for a counter's history. */
function judge({ claim }: Strategy, { history, acknowledged }: RaceResult, final: Read) {
  const lost = acknowledged - final.value;
  const verdict: Claim = lost > 0 ? 'loses' : acknowledged < history.length ? 'rejects' : 'exact';
  const pair = witness(history);
  const violations = [...checkBound(0, history, [final]), ...valueViolations(history)];
  // A strategy that may refuse need not; one that must not lose must break no rule.
  const expected = verdict === claim || (claim === 'rejects' && verdict === 'exact');
  return {
    verdict,
    holds: expected && (claim === 'loses' || violations.length === 0),
    violations,
    final: final.value,
    lost: Math.max(0, lost),
    witness: pair ? { value: pair[0].value ?? 0, workers: pair.map(({ worker }) => worker) } : null,
    timeline: timeline(history, pair),
  };
}

/** Some strategies cannot know what they wrote; a history with such increments says nothing about values. */
function valueViolations(history: readonly Increment[]): string[] {
  const silent = history.some(({ outcome, value }) => outcome === 'acknowledged' && value === undefined);
  return silent ? [] : checkValues(0, history);
}

function figures({ history, acknowledged, conflicts, retries, durationMs }: RaceResult) {
  return {
    attempted: history.length,
    acknowledged,
    conflicts,
    retries,
    duration_ms: Math.round(durationMs * 10) / 10,
    increments_per_second: Math.round((acknowledged / durationMs) * 1000),
  };
}

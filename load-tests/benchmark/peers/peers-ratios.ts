import { type Spread, spread } from '../../shared/spread.ts';
import type { Ratio } from '../figures/ratio.ts';
import { names } from './peer.ts';
import type { Load, Turn } from './subject.ts';

/** The targets for the counters, compared with the alternatives, on two cores. */
export function peersRatios(rounds: readonly Turn[][]): Ratio[] {
  const { counters, redis, script, upsert, limiter } = names;
  const ratio = (load: Load, callers: number, by: string): Ratio => ({
    name: `${counters} ÷ ${by}, ${load}, c = ${callers}`,
    spread: over(rounds, (turns) => speed(turns, load, counters, callers) / speed(turns, load, by, callers)),
  });
  return [
    { ...ratio('one hot counter', 128, redis), atLeast: 1.5, aim: 2 },
    ratio('one hot counter', 512, redis),
    { ...ratio('1,000 counters', 128, redis), atLeast: 0.6, aim: 0.9 },
    ratio('1,000 counters', 512, redis),
    { ...ratio('one hot counter', 1, redis), atLeast: 0.6, aim: 0.8 },
    { ...ratio('one hot counter', 1, upsert), atLeast: 0.65, aim: 0.9 },
    { ...ratio('a key each', 128, script), atLeast: 1, aim: 1.3 },
    ratio('a key each', 512, script),
    ratio('a key each', 1, script),
    ratio('one hot counter', 128, upsert),
    ratio('1,000 counters', 128, upsert),
    ratio('one hot counter', 128, limiter),
    { ...ratio('behind a route', 128, redis), atLeast: 0.7, aim: 0.9 },
    ratio('behind a route, a key each', 128, script),
    ratio('behind a route', 1, redis),
    ratio('behind a route', 128, upsert),
  ];
}

export const over = (rounds: readonly Turn[][], figure: (turns: readonly Turn[]) => number): Spread =>
  spread(rounds.map(figure));

export const speed = (turns: readonly Turn[], load: Load, peer: string, callers: number): number =>
  turns.find((turn) => turn.load === load && turn.peer === peer && turn.callers === callers)?.seen
    .perSecond ?? Number.NaN;

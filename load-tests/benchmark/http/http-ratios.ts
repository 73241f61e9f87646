import type { Ratio } from '../figures/ratio.ts';
import { type Spread, spread } from '../../shared/spread.ts';
import { type OverloadRound, SHORT_QUEUE } from './overload.ts';
import { type HttpSubject, httpSubjects } from './subjects.ts';
import type { Turn } from './workbench.ts';

/** The targets for the counters, on two cores. */
export function httpRatios(
  rounds: readonly Turn[][],
  overload: readonly OverloadRound[],
  connections: readonly number[],
): Ratio[] {
  const { noop, hot, many, noopKeyed, keyed, update } = httpSubjects;
  const at = (wanted: number) => nearest(connections, wanted);
  const c = at(128);
  const compared = (of: HttpSubject, by: HttpSubject, count: number): Ratio => ({
    name: `${of.name} ÷ ${by.name}, c = ${count}`,
    spread: over(rounds, (turns) => speed(turns, of, count) / speed(turns, by, count)),
  });
  const most = Math.max(...connections);
  const peak = peakOf(rounds, hot, connections);
  return [
    { ...compared(hot, noop, c), atLeast: 0.6, aim: 0.9 },
    { ...compared(keyed, noopKeyed, c), atLeast: 0.4, aim: 0.65 },
    { ...compared(hot, update, at(256)), atLeast: 5, aim: 10 },
    // With one caller, throughput is the inverse of latency: at most 1.3 times that of a plain UPDATE; the aim is 1.15.
    { ...compared(hot, update, at(1)), atLeast: 0.77, aim: 0.87 },
    { ...compared(hot, many, c), atLeast: 0.9, aim: 0.95 },
    // The inverse is no target: a row has to be written for each counter, and that costs time.
    compared(many, hot, c),
    {
      name:
        most === peak
          ? `${hot.name}: its peak is at c = ${most}`
          : `${hot.name}: c = ${most} ÷ its peak, c = ${peak}`,
      spread: over(rounds, (turns) => speed(turns, hot, most) / speed(turns, hot, peak)),
      atLeast: 0.9,
      aim: 0.95,
    },
    {
      name: `${hot.name}: increments per commit, c = ${c}`,
      spread: over(rounds, (turns) => 1 / (find(turns, hot, c)?.commits ?? Number.NaN)),
      atLeast: 20,
      aim: 50,
    },
    goodput('served at 3 × the peak ÷ the peak, the default queue', overload, ({ tripled, peak: own }) => [
      tripled,
      own,
    ]),
    goodput(
      `served at 3 × the peak ÷ the peak, a queue of ${SHORT_QUEUE}`,
      overload,
      ({ refusing, refusingPeak }) => [refusing, refusingPeak],
    ),
  ];
}

function goodput(
  name: string,
  overload: readonly OverloadRound[],
  pair: (round: OverloadRound) => [Turn, Turn],
): Ratio {
  const ratios = overload.map((round) => {
    const [loaded, peak] = pair(round);
    return loaded.seen.perSecond / peak.seen.perSecond;
  });
  return { name, spread: spread(ratios), atLeast: 0.9, aim: 0.95 };
}

export const find = (turns: readonly Turn[], { name }: HttpSubject, count: number): Turn | undefined =>
  turns.find(({ subject, connections }) => subject === name && connections === count);

const speed = (turns: readonly Turn[], subject: HttpSubject, count: number): number =>
  find(turns, subject, count)?.seen.perSecond ?? Number.NaN;

export const over = (rounds: readonly Turn[][], figure: (turns: readonly Turn[]) => number): Spread =>
  spread(rounds.map(figure));

const nearest = (all: readonly number[], wanted: number): number =>
  all.toSorted((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted))[0] ?? wanted;

/** Finds the peak by medians, so that a single fast turn does not decide. */
const peakOf = (rounds: readonly Turn[][], subject: HttpSubject, connections: readonly number[]): number => {
  const median = (count: number) => over(rounds, (turns) => speed(turns, subject, count)).median;
  return connections.toSorted((a, b) => median(b) - median(a))[0] ?? 0;
};

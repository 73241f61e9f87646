import type { Static } from 'typebox';
import { checkBound, checkValues, type Read, witness } from '../concurrency/history.ts';
import type { Claim, Strategy } from '../likes/strategy.ts';
import type { Experiment } from './experiments/experiment.ts';
import type { trialResult } from './schemas.ts';
import { timeline } from './timeline.ts';
import type { TimedResult } from './within-time.ts';
import type { Increment } from './worker.ts';

interface Judged {
  strategy: Strategy;
  experiment: Experiment;
  /** The maximum number of increments that may succeed; null: no maximum. */
  stock: number | null;
}

/** Judges a race by the rules for a counter's history, and by those of the experiment. */
export function judge(
  { strategy: { claim }, experiment, stock }: Judged,
  { history, acknowledged, outOfTime }: TimedResult,
  final: Read,
) {
  const lost = Math.max(0, acknowledged - final.value);
  const soldOut = history.filter((one) => one.soldOut).length;
  const seen: Claim = lost > 0 ? 'loses' : acknowledged + soldOut < history.length ? 'rejects' : 'exact';
  const pair = witness(history);
  const violations = [
    ...checkBound(0, history, [final]),
    ...valueViolations(history),
    ...experiment.violations(history, stock),
  ];
  return {
    ...judgeClaim(claim, seen, violations.length > 0, outOfTime),
    violations,
    sold_out: soldOut,
    final: final.value,
    lost,
    witness: pair ? { value: pair[0].value ?? 0, workers: pair.map(({ worker }) => worker) } : null,
    timeline: timeline(history, pair),
  };
}

/** A race that was not completed can show that likes are lost, but not that none are. */
function judgeClaim(
  claim: Claim,
  seen: Claim,
  violated: boolean,
  outOfTime: boolean,
): Pick<Static<typeof trialResult>, 'verdict' | 'holds'> {
  const broken = claim !== 'loses' && violated;
  if (outOfTime && seen !== 'loses' && !broken) return { verdict: 'inconclusive', holds: null };
  // A strategy that claims `rejects` need not refuse anything; one that does not claim `loses` must break no rule.
  const expected = seen === claim || (claim === 'rejects' && seen === 'exact');
  return { verdict: seen, holds: expected && !broken };
}

/** Some strategies do not know the value that they wrote. Then the values of the history are not checked. */
function valueViolations(history: readonly Increment[]): string[] {
  const silent = history.some(({ outcome, value }) => outcome === 'acknowledged' && value === undefined);
  return silent ? [] : checkValues(0, history);
}

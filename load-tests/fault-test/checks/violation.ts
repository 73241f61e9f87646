import { plural } from '../../shared/plural.ts';
import type { Operation } from '../journal/operation.ts';

/** The rules that every run must obey, whatever fault hits the service, the network or the database. */
export const rules = {
  acknowledged: 'every acknowledged request is counted',
  refused: 'no refused request is counted',
  unsent: 'only requests that were sent are counted',
  answers: 'an answer equals the stored values',
  replays: 'a retry is answered as a replay if and only if the request was counted before',
  sum: 'the value of a counter is the sum of the counted increments',
  values: 'written values are distinct, without gaps, and in real-time order',
  bound: 'acknowledged ≤ value ≤ acknowledged + unknown',
  own: 'a counter that one request increments is 1 if acknowledged, 0 if refused, 0 or 1 if unknown',
  whole: 'a bulk is counted completely or not at all',
  range: 'requests that would leave the range are not counted; others are, if acknowledged',
  bounds: 'a counter with bounds never leaves them',
  tickets: 'all tickets are sold, and no request is refused before they are sold out',
  documents: 'a state is replaced at most once, and an acknowledged state is replaced or final',
  reads: 'a read returns no less than was acknowledged or read before it, and no more than was requested',
  unrelated: 'requests that need no locked counter are served',
  settled: 'after all retries, every keyed request that was not refused is counted',
  unexpected: 'every answer is one that a fault explains',
} as const;

export interface Violation {
  rule: keyof typeof rules;
  text: string;
}

export const violation = (rule: Violation['rule'], text: string): Violation => ({ rule, text });

/** Returns one violation for all operations that break the rule; none if there are none. */
export function broken(
  rule: Violation['rule'],
  operations: readonly Operation[],
  breaks: (operation: Operation) => boolean,
): Violation[] {
  const breaking = operations.filter(breaks);
  const [first] = breaking;
  return first
    ? [violation(rule, `${plural(breaking.length, 'request')}, for example ${describe(first)}`)]
    : [];
}

const describe = ({ id, kind, outcome, values, unexpected }: Operation): string =>
  `${id} (${kind}, ${outcome}${values ? `, answered ${values.join()}` : ''}${unexpected ? `, ${unexpected}` : ''})`;

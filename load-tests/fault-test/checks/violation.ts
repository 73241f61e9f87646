import type { Operation } from '../journal/operation.ts';

/** What must hold of every run, whatever happens to the service, the network and the database. */
export const rules = {
  acknowledged: 'acknowledged ⊆ counted',
  refused: 'refused ∩ counted = ∅',
  strangers: 'counted ⊆ sent',
  answers: 'answered = stored',
  replays: 'counted before = answered as a replay',
  sum: 'sum of counted = value',
  values: 'values distinct, without a gap, in real-time order',
  bound: 'acknowledged ≤ value ≤ acknowledged + unknown',
  own: 'a counter of its own: acknowledged 1, refused 0, unknown 0 or 1',
  whole: 'a bulk is counted as a whole or not at all',
  range: 'what would leave the range is not counted, and nothing else is refused for it',
  bounds: 'a counter with bounds never leaves them',
  tickets: 'as many are sold as there are, and none is refused before',
  documents: 'a state that was read is replaced once, and by what was acknowledged',
  reads: 'no read goes back behind what was acknowledged, or read, before it began',
  neighbours: 'requests that need no locked counter go on',
  settled: 'after retrying: sent = counted',
  unexpected: 'no answer but those that a fault explains',
} as const;

export interface Violation {
  rule: keyof typeof rules;
  text: string;
}

export const violation = (rule: Violation['rule'], text: string): Violation => ({ rule, text });

/** One violation for all operations that break the rule, if there are any. */
export function broken(
  rule: Violation['rule'],
  operations: readonly Operation[],
  breaks: (operation: Operation) => boolean,
): Violation[] {
  const those = operations.filter(breaks);
  const [first] = those;
  return first ? [violation(rule, `${those.length} requests, such as ${shown(first)}`)] : [];
}

const shown = ({ id, kind, outcome, values, unexpected }: Operation): string =>
  `${id} (${kind}, ${outcome}${values ? `, answered ${values.join()}` : ''}${unexpected ? `, ${unexpected}` : ''})`;

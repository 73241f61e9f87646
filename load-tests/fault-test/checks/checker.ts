import { type Add, checkBound, checkValues } from '../../../src/concurrency/history.ts';
import type { History, Truth } from '../journal/history.ts';
import { incrementsOf, isKeyed, type Operation, UNKEYED } from '../journal/operation.ts';

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
  settled: 'after retrying: sent = counted',
  unexpected: 'no answer but those that a fault explains',
} as const;

export interface Violation {
  rule: keyof typeof rules;
  text: string;
}

/** What a counter was asked for, and in the end did. */
export type CounterAdd = Add & { operation: Operation };

/**
 * Compares what clients were told with what the database has counted.
 *
 * @param settled whether everything unknown has been sent again since, so that nothing may be open
 */
export function check(history: History, truth: Truth, settled: boolean): Violation[] {
  const { operations } = history;
  return [
    ...checkOutcomes(operations, truth),
    ...(settled ? checkSettled(operations, truth) : []),
    ...[...addsByCounter(operations, truth)].flatMap(([name, adds]) =>
      checkCounter(name, adds, history, truth),
    ),
  ];
}

/** The rules for each request by itself. */
function checkOutcomes(operations: readonly Operation[], { counted, strangers }: Truth): Violation[] {
  const keyed = operations.filter(isKeyed);
  const acknowledged = keyed.filter(({ outcome }) => outcome === 'acknowledged');
  return [
    ...broken('acknowledged', acknowledged, ({ id }) => !counted.has(id)),
    ...broken('refused', keyed, ({ id, outcome }) => outcome === 'refused' && counted.has(id)),
    ...broken('answers', acknowledged, ({ id, values }) => {
      const kept = counted.get(id);
      return kept !== undefined && kept.join() !== values?.join();
    }),
    ...broken('unexpected', operations, ({ unexpected }) => unexpected !== undefined),
    ...(strangers.length > 0
      ? [violation('strangers', `${strangers.length} keys, such as ${strangers[0]}`)]
      : []),
  ];
}

function checkSettled(operations: readonly Operation[], { counted }: Truth): Violation[] {
  return broken(
    'settled',
    operations.filter((operation) => isKeyed(operation) && operation.outcome !== 'refused'),
    ({ id, outcome }) => outcome === 'unknown' || !counted.has(id),
  );
}

/**
 * What was resent was counted just before if, and only if, its answer says so.
 *
 * @param before what had been counted before anything was sent again
 */
export function checkReplays(resent: readonly Operation[], before: Truth): Violation[] {
  const answered = resent.filter(({ outcome }) => outcome === 'acknowledged');
  return broken('replays', answered, ({ id, replayed = false }) => replayed !== before.counted.has(id));
}

function broken(
  rule: Violation['rule'],
  operations: readonly Operation[],
  breaks: (operation: Operation) => boolean,
): Violation[] {
  const those = operations.filter(breaks);
  const [first] = those;
  return first ? [violation(rule, `${those.length} requests, such as ${shown(first)}`)] : [];
}

const violation = (rule: Violation['rule'], text: string): Violation => ({ rule, text });

const shown = ({ id, kind, outcome, values, unexpected }: Operation): string =>
  `${id} (${kind}, ${outcome}${values ? `, answered ${values.join()}` : ''}${unexpected ? `, ${unexpected}` : ''})`;

/** With what the database knows of those whose outcome nobody was told: counted, with its value, or not at all. */
export function addsByCounter(
  operations: readonly Operation[],
  { counted }: Truth,
): Map<string, CounterAdd[]> {
  const byCounter = new Map<string, CounterAdd[]>();
  for (const operation of operations) {
    const { id, startedAt, endedAt } = operation;
    const keyed = isKeyed(operation);
    const values = keyed ? counted.get(id) : operation.values;
    const outcome = keyed ? (values ? 'acknowledged' : 'refused') : operation.outcome;
    for (const [i, { name, by }] of incrementsOf(operation).entries()) {
      const value = values?.[i];
      const add = { operation, startedAt, endedAt, by, outcome };
      const adds = byCounter.get(name);
      const whole: CounterAdd = value === undefined ? add : { ...add, value };
      if (adds) adds.push(whole);
      else byCounter.set(name, [whole]);
    }
  }
  return byCounter;
}

/** The rules for a counter's history. */
function checkCounter(name: string, adds: CounterAdd[], { reads }: History, { values }: Truth): Violation[] {
  const value = values.get(name) ?? 0;
  const at = Number.MAX_SAFE_INTEGER;
  const all = [...reads.filter((read) => read.name === name), { startedAt: at, endedAt: at, value }];
  const broke = (rule: Violation['rule']) => (text: string) => violation(rule, `${name}: ${text}`);
  const sum = adds.reduce((total, { outcome, by }) => total + (outcome === 'acknowledged' ? by : 0), 0);
  return [
    ...(name !== UNKEYED && sum !== value ? [broke('sum')(`counted ${sum}, but it is ${value}`)] : []),
    ...(adds.every(({ by }) => by === 1) ? checkValues(0, adds).map(broke('values')) : []),
    ...checkBound(0, adds, all).map(broke('bound')),
  ];
}

import { plural } from '../../shared/plural.ts';
import type { History, Truth } from '../journal/history.ts';
import { incrementsOf, isInRange, isKeyed, isOwn, type Operation } from '../journal/operation.ts';
import { storedValues } from './adds.ts';
import { broken, type Violation, violation } from './violation.ts';

/** The counters that only one operation increments. */
export interface OwnCounters {
  /** Their values. */
  values: number[];
  /** Their values if the operation is counted once. */
  expected: number[];
}

export function ownCountersOf(operation: Operation, truth: Truth): OwnCounters {
  const expected = new Map<string, number>();
  for (const { name, by } of incrementsOf(operation))
    if (isOwn(name)) expected.set(name, (expected.get(name) ?? 0) + by);
  return {
    values: [...expected.keys()].map((name) => truth.values.get(name) ?? 0),
    expected: [...expected.values()],
  };
}

/** Checks the counters that only one operation increments: each shows how often that operation was counted. */
export function checkOwn(history: History, truth: Truth): Violation[] {
  const operations = history.operations.filter(({ kind }) => ruleOf[kind] !== undefined);
  const acknowledged = operations.filter(({ outcome }) => outcome === 'acknowledged');
  return [
    ...(['own', 'whole', 'range'] as const).flatMap((rule) =>
      broken(rule, operations, (one) => ruleOf[one.kind] === rule && !isLegal(one, history, truth)),
    ),
    ...broken('answers', acknowledged, (one) => !isKeyed(one) && one.values?.join() !== answerOf(one)),
    ...checkUnsent(operations, truth),
  ];
}

const ruleOf: Partial<Record<Operation['kind'], Violation['rule']>> = {
  unkeyed: 'own',
  bulk: 'whole',
  'unkeyed-bulk': 'whole',
  edge: 'range',
};

function isLegal(operation: Operation, history: History, truth: Truth): boolean {
  const { values, expected } = ownCountersOf(operation, truth);
  const whole = values.join() === expected.join();
  const none = values.every((value) => value === 0);
  if (operation.kind === 'edge' && !isInRange(operation)) return none && operation.outcome !== 'acknowledged';
  if (isKeyed(operation)) return storedValues(operation, history, truth) ? whole : none;
  if (operation.outcome === 'acknowledged') return whole;
  return none || (operation.outcome === 'unknown' && whole);
}

/** The expected answer: the value after each increment, starting at 0. */
function answerOf(operation: Operation): string {
  const values = new Map<string, number>();
  return incrementsOf(operation)
    .map(({ name, by }) => {
      const value = (values.get(name) ?? 0) + by;
      values.set(name, value);
      return value;
    })
    .join();
}

function checkUnsent(operations: readonly Operation[], { values }: Truth): Violation[] {
  const known = new Set(operations.flatMap((one) => incrementsOf(one).map(({ name }) => name)));
  const unsent = [...values.keys()].filter((name) => isOwn(name) && !known.has(name));
  return unsent.length > 0
    ? [violation('unsent', `${plural(unsent.length, 'counter')}, for example ${unsent[0]}`)]
    : [];
}

import type { History, Truth } from '../journal/history.ts';
import { fits, incrementsOf, isKeyed, isOwn, type Operation } from '../journal/operation.ts';
import { keptOf } from './adds.ts';
import { broken, type Violation, violation } from './violation.ts';

/** What an operation's own counters are, and would be if it was counted once. */
export interface OwnCounters {
  values: number[];
  once: number[];
}

export function ownCountersOf(operation: Operation, truth: Truth): OwnCounters {
  const once = new Map<string, number>();
  for (const { name, by } of incrementsOf(operation))
    if (isOwn(name)) once.set(name, (once.get(name) ?? 0) + by);
  return {
    values: [...once.keys()].map((name) => truth.values.get(name) ?? 0),
    once: [...once.values()],
  };
}

/** The rules for the counters that belong to one operation each: they show what happened to it alone. */
export function checkOwn(history: History, truth: Truth): Violation[] {
  const those = history.operations.filter(({ kind }) => ruleOf[kind] !== undefined);
  const acknowledged = those.filter(({ outcome }) => outcome === 'acknowledged');
  return [
    ...(['own', 'whole', 'range'] as const).flatMap((rule) =>
      broken(rule, those, (one) => ruleOf[one.kind] === rule && !isLegal(one, history, truth)),
    ),
    ...broken('answers', acknowledged, (one) => !isKeyed(one) && one.values?.join() !== answerOf(one)),
    ...checkStrangers(those, truth),
  ];
}

const ruleOf: Partial<Record<Operation['kind'], Violation['rule']>> = {
  unkeyed: 'own',
  bulk: 'whole',
  'unkeyed-bulk': 'whole',
  edge: 'range',
};

function isLegal(operation: Operation, history: History, truth: Truth): boolean {
  const { values, once } = ownCountersOf(operation, truth);
  const whole = values.join() === once.join();
  const none = values.every((value) => value === 0);
  if (operation.kind === 'edge' && !fits(operation)) return none && operation.outcome !== 'acknowledged';
  if (isKeyed(operation)) return keptOf(operation, history, truth) ? whole : none;
  if (operation.outcome === 'acknowledged') return whole;
  return none || (operation.outcome === 'unknown' && whole);
}

/** The values on the way, from nothing. */
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

function checkStrangers(those: readonly Operation[], { values }: Truth): Violation[] {
  const known = new Set(those.flatMap((one) => incrementsOf(one).map(({ name }) => name)));
  const strangers = [...values.keys()].filter((name) => isOwn(name) && !known.has(name));
  return strangers.length > 0
    ? [violation('strangers', `${strangers.length} counters, such as ${strangers[0]}`)]
    : [];
}

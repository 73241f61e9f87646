import type { Add } from '../../../src/concurrency/history.ts';
import type { History, Truth } from '../journal/history.ts';
import { incrementsOf, isKeyed, isOwn, keyIdOf, type Operation } from '../journal/operation.ts';

/** What a counter was asked for, and in the end did. */
export type CounterAdd = Add & { operation: Operation };

/** What the database has kept for a keyed operation; of one whose key was removed, what it was answered. */
export function keptOf(operation: Operation, { expired }: Pick<History, 'expired'>, { counted }: Truth) {
  return expired.has(operation.id) ? operation.values : counted.get(keyIdOf(operation));
}

/**
 * What the counters that are shared were asked for, with what the database knows of those whose outcome no client was
 * told: counted, with its value, or not at all.
 */
export function addsByCounter(history: History, truth: Truth): Map<string, CounterAdd[]> {
  const byCounter = new Map<string, CounterAdd[]>();
  for (const operation of history.operations) {
    const { startedAt, endedAt } = operation;
    const keyed = isKeyed(operation);
    const values = keyed ? keptOf(operation, history, truth) : operation.values;
    const outcome = keyed ? (values ? 'acknowledged' : 'refused') : operation.outcome;
    for (const [i, { name, by }] of incrementsOf(operation).entries()) {
      if (isOwn(name)) continue;
      const value = values?.[i];
      const add = { operation, startedAt, endedAt, by, outcome };
      const whole: CounterAdd = value === undefined ? add : { ...add, value };
      const adds = byCounter.get(name);
      if (adds) adds.push(whole);
      else byCounter.set(name, [whole]);
    }
  }
  return byCounter;
}

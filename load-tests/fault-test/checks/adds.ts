import type { Add } from '../../../src/concurrency/history.ts';
import type { History, Truth } from '../journal/history.ts';
import { incrementsOf, isKeyed, isOwn, keyIdOf, type Operation } from '../journal/operation.ts';

/** An increment of a counter, with the operation that it belongs to. */
export type CounterAdd = Add & { operation: Operation };

/** The values stored under the key of an operation; if that key has expired, the values of its answer. */
export function storedValues(
  operation: Operation,
  { expired }: Pick<History, 'expired'>,
  { counted }: Truth,
): number[] | undefined {
  return expired.has(operation.id) ? operation.values : counted.get(keyIdOf(operation));
}

/**
 * The increments of each shared counter. For requests with a key, the database determines the outcome and the value, also
 * where the client's outcome is unknown.
 */
export function addsByCounter(history: History, truth: Truth): Map<string, CounterAdd[]> {
  const byCounter = new Map<string, CounterAdd[]>();
  for (const operation of history.operations) {
    const { startedAt, endedAt } = operation;
    const keyed = isKeyed(operation);
    const values = keyed ? storedValues(operation, history, truth) : operation.values;
    const outcome = keyed ? (values ? 'acknowledged' : 'refused') : operation.outcome;
    for (const [i, { name, by }] of incrementsOf(operation).entries()) {
      if (isOwn(name)) continue;
      const value = values?.[i];
      const add = { operation, startedAt, endedAt, by, outcome };
      const valued: CounterAdd = value === undefined ? add : { ...add, value };
      const adds = byCounter.get(name);
      if (adds) adds.push(valued);
      else byCounter.set(name, [valued]);
    }
  }
  return byCounter;
}

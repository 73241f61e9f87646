import type { History, Truth } from '../journal/history.ts';
import { isKeyed, UNKEYED } from '../journal/operation.ts';
import { addsByCounter, type CounterAdd } from './adds.ts';
import { ownCountersOf } from './own.ts';

/** The number of acknowledged increments that are not counted, and of increments that are counted twice. */
export interface Damage {
  lost: number;
  doubled: number;
}

/** Lost and doubled increments of the counters that are only incremented by 1, for each fault of the history. */
export function damageOf(history: History, truth: Truth): Damage[] {
  const damage = history.faults.map((): Damage => ({ lost: 0, doubled: 0 }));
  for (const [name, adds] of addsByCounter(history, truth)) {
    if (adds.some(({ by }) => by !== 1)) continue;
    const value = truth.values.get(name) ?? 0;
    const acknowledged = adds.filter(({ operation }) => operation.outcome === 'acknowledged');
    const possible = adds.filter(({ outcome }) => outcome !== 'refused').length;
    const missing = acknowledged.filter(({ outcome }) => outcome !== 'acknowledged');
    // Without keys, only the number of lost increments is known; the last ones are counted as lost.
    const lost = name === UNKEYED ? acknowledged.slice(Math.min(value, acknowledged.length)) : missing;
    for (const { operation } of lost) ofFault(damage, operation.fault).lost += 1;
    if (value > possible) addDoubled(damage, adds, value - possible);
  }
  addDamageOfOwnCounters(damage, history, truth);
  return damage;
}

/** Requests without a key only: those with a key also increment shared counters, which are examined above. */
function addDamageOfOwnCounters(damage: Damage[], { operations }: History, truth: Truth): void {
  for (const operation of operations) {
    if (isKeyed(operation) || operation.kind === 'edge') continue;
    const { values, expected } = ownCountersOf(operation, truth);
    for (const [i, by] of expected.entries()) {
      const excess = (values[i] ?? 0) - (operation.outcome === 'refused' ? 0 : by);
      if (excess > 0) ofFault(damage, operation.fault).doubled += excess;
      else if (operation.outcome === 'acknowledged') ofFault(damage, operation.fault).lost -= excess;
    }
  }
}

/** Attributes each doubled increment to the fault of the operation that wrote the next value after the gap. */
function addDoubled(damage: Damage[], adds: readonly CounterAdd[], doubled: number): void {
  let [left, last] = [doubled, 0];
  const valued = adds.filter(({ value }) => value !== undefined);
  for (const { value = 0, operation } of valued.toSorted((a, b) => (a.value ?? 0) - (b.value ?? 0))) {
    const gap = Math.min(left, Math.max(0, value - last - 1));
    ofFault(damage, operation.fault).doubled += gap;
    left -= gap;
    last = value;
  }
  ofFault(damage, damage.length - 1).doubled += left;
}

/** @throws {RangeError} if the history contains no such fault */
function ofFault(damage: Damage[], fault: number): Damage {
  const one = damage[fault];
  if (!one) throw new RangeError(`no fault ${fault}`);
  return one;
}

import type { History, Truth } from '../journal/history.ts';
import { isKeyed, UNKEYED } from '../journal/operation.ts';
import { addsByCounter, type CounterAdd } from './adds.ts';
import { ownCountersOf } from './own.ts';

/** Increments that were acknowledged and are not there, and that are there without having been asked for. */
export interface Damage {
  lost: number;
  doubled: number;
}

/** What a run did to the counters whose increments are all by 1, by the fault under which it happened. */
export function damageOf(history: History, truth: Truth): Damage[] {
  const damage = history.faults.map((): Damage => ({ lost: 0, doubled: 0 }));
  for (const [name, adds] of addsByCounter(history, truth)) {
    if (adds.some(({ by }) => by !== 1)) continue;
    const value = truth.values.get(name) ?? 0;
    const told = adds.filter(({ operation }) => operation.outcome === 'acknowledged');
    const possible = adds.filter(({ outcome }) => outcome !== 'refused').length;
    const missing = told.filter(({ outcome }) => outcome !== 'acknowledged');
    // Without keys it cannot be said which ones: the last.
    const lost = name === UNKEYED ? told.slice(Math.min(value, told.length)) : missing;
    for (const { operation } of lost) at(damage, operation.fault).lost += 1;
    if (value > possible) spread(damage, adds, value - possible);
  }
  damageOfOwn(damage, history, truth);
  return damage;
}

/** Without a key: of those with one, the shared counters have told already. */
function damageOfOwn(damage: Damage[], { operations }: History, truth: Truth): void {
  for (const operation of operations) {
    if (isKeyed(operation) || operation.kind === 'edge') continue;
    const { values, once } = ownCountersOf(operation, truth);
    for (const [i, by] of once.entries()) {
      const over = (values[i] ?? 0) - (operation.outcome === 'refused' ? 0 : by);
      if (over > 0) at(damage, operation.fault).doubled += over;
      else if (operation.outcome === 'acknowledged') at(damage, operation.fault).lost -= over;
    }
  }
}

/** A value that no operation wrote came to be just before the next one that an operation did write. */
function spread(damage: Damage[], adds: readonly CounterAdd[], doubled: number): void {
  let [left, last] = [doubled, 0];
  const valued = adds.filter(({ value }) => value !== undefined);
  for (const { value = 0, operation } of valued.toSorted((a, b) => (a.value ?? 0) - (b.value ?? 0))) {
    const gap = Math.min(left, Math.max(0, value - last - 1));
    at(damage, operation.fault).doubled += gap;
    left -= gap;
    last = value;
  }
  at(damage, damage.length - 1).doubled += left;
}

/** @throws {RangeError} when the history knows no such fault */
function at(damage: Damage[], fault: number): Damage {
  const one = damage[fault];
  if (!one) throw new RangeError(`no fault ${fault}`);
  return one;
}

import { checkBound, checkValues } from '../../../src/concurrency/history.ts';
import { plural } from '../../shared/plural.ts';
import type { History, Truth } from '../journal/history.ts';
import { BOUNDED, isKeyed, isTickets, keyIdOf, type Operation, UNKEYED } from '../journal/operation.ts';
import { addsByCounter, type CounterAdd, storedValues } from './adds.ts';
import { checkDocuments } from './documents.ts';
import { checkOwn } from './own.ts';
import { checkReads } from './reads.ts';
import { checkTickets } from './tickets.ts';
import { checkUnrelatedRequests } from './unrelated-requests.ts';
import { broken, type Violation, violation } from './violation.ts';

/**
 * Compares the answers to the clients with the state of the database.
 *
 * @param settled whether all requests with an unknown outcome have been retried, so that every outcome must be known
 */
export function check(history: History, truth: Truth, settled: boolean): Violation[] {
  return [
    ...checkOutcomes(history, truth),
    ...(settled ? checkSettled(history, truth) : []),
    ...[...addsByCounter(history, truth)].flatMap(([name, adds]) => checkCounter(name, adds, history, truth)),
    ...checkOwn(history, truth),
    ...checkDocuments(history, truth),
    ...checkUnrelatedRequests(history),
  ];
}

/** Checks each request separately. */
function checkOutcomes(history: History, truth: Truth): Violation[] {
  const { operations } = history;
  const keyed = operations.filter(isKeyed);
  const acknowledged = keyed.filter(({ outcome }) => outcome === 'acknowledged');
  const { unsentKeys } = truth;
  return [
    ...broken('acknowledged', acknowledged, (one) => storedValues(one, history, truth) === undefined),
    ...broken(
      'refused',
      keyed,
      (one) => one.outcome === 'refused' && storedValues(one, history, truth) !== undefined,
    ),
    ...broken('answers', acknowledged, (one) => {
      const stored = storedValues(one, history, truth);
      return stored !== undefined && stored.join() !== one.values?.join();
    }),
    ...broken('unexpected', operations, ({ unexpected }) => unexpected !== undefined),
    ...(unsentKeys.length > 0
      ? [violation('unsent', `${plural(unsentKeys.length, 'stored key')}, for example ${unsentKeys[0]}`)]
      : []),
  ];
}

function checkSettled(history: History, truth: Truth): Violation[] {
  return broken(
    'settled',
    history.operations.filter((operation) => isKeyed(operation) && operation.outcome !== 'refused'),
    (one) => one.outcome === 'unknown' || storedValues(one, history, truth) === undefined,
  );
}

/**
 * Checks the retries of requests with an unknown outcome: the answer is marked as a replay if and only if the request had
 * been counted.
 *
 * @param before the state of the database before the retries
 */
export function checkReplays(retried: readonly Operation[], before: Truth): Violation[] {
  const answered = retried.filter(({ outcome }) => outcome === 'acknowledged');
  return broken('replays', answered, (one) => (one.replayed ?? false) !== before.counted.has(keyIdOf(one)));
}

/** Checks the history of a shared counter. */
function checkCounter(
  name: string,
  adds: CounterAdd[],
  { reads, failovers }: History,
  { values }: Truth,
): Violation[] {
  const value = values.get(name) ?? 0;
  const end = Number.MAX_SAFE_INTEGER;
  const violationOf = (rule: Violation['rule']) => (text: string) => violation(rule, `${name}: ${text}`);
  const sum = adds.reduce((total, { outcome, by }) => total + (outcome === 'acknowledged' ? by : 0), 0);
  const isByOnes = adds.every(({ by }) => by === 1);
  const ownReads = reads.filter((read) => read.name === name);
  return [
    ...(name !== UNKEYED && sum !== value
      ? [violationOf('sum')(`the counted increments add up to ${sum}, the value is ${value}`)]
      : []),
    ...checkBounds(name, adds).map(violationOf('bounds')),
    ...(isTickets(name) ? checkTickets(adds).map(violationOf('tickets')) : []),
    ...(isByOnes ? checkValues(0, adds).map(violationOf('values')) : []),
    ...(isByOnes ? checkReads(adds, ownReads, failovers).map(violationOf('reads')) : []),
    ...checkBound(0, adds, [{ startedAt: end, endedAt: end, value }]).map(violationOf('bound')),
  ];
}

function checkBounds(name: string, adds: readonly CounterAdd[]): string[] {
  const bounds = BOUNDED.get(name);
  if (!bounds) return [];
  const { min, max } = bounds;
  const outside = adds.find(({ value = min }) => value < min || value > max);
  return outside ? [`an increment wrote ${outside.value}; the bounds are ${min} and ${max}`] : [];
}

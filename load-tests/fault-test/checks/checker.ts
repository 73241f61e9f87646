import { checkBound, checkValues } from '../../../src/concurrency/history.ts';
import type { History, Truth } from '../journal/history.ts';
import { isKeyed, isTickets, keyIdOf, type Operation, STOCK, UNKEYED } from '../journal/operation.ts';
import { addsByCounter, type CounterAdd, keptOf } from './adds.ts';
import { checkDocuments } from './documents.ts';
import { checkNeighbours } from './neighbours.ts';
import { checkOwn } from './own.ts';
import { checkReads } from './reads.ts';
import { checkTickets } from './tickets.ts';
import { broken, type Violation, violation } from './violation.ts';

/**
 * Compares what clients were told with what the database has counted.
 *
 * @param settled whether everything unknown has been sent again since, so that nothing may be open
 */
export function check(history: History, truth: Truth, settled: boolean): Violation[] {
  return [
    ...checkOutcomes(history, truth),
    ...(settled ? checkSettled(history, truth) : []),
    ...[...addsByCounter(history, truth)].flatMap(([name, adds]) => checkCounter(name, adds, history, truth)),
    ...checkOwn(history, truth),
    ...checkDocuments(history, truth),
    ...checkNeighbours(history),
  ];
}

/** The rules for each request by itself. */
function checkOutcomes(history: History, truth: Truth): Violation[] {
  const { operations } = history;
  const keyed = operations.filter(isKeyed);
  const acknowledged = keyed.filter(({ outcome }) => outcome === 'acknowledged');
  const { strangers } = truth;
  return [
    ...broken('acknowledged', acknowledged, (one) => keptOf(one, history, truth) === undefined),
    ...broken(
      'refused',
      keyed,
      (one) => one.outcome === 'refused' && keptOf(one, history, truth) !== undefined,
    ),
    ...broken('answers', acknowledged, (one) => {
      const kept = keptOf(one, history, truth);
      return kept !== undefined && kept.join() !== one.values?.join();
    }),
    ...broken('unexpected', operations, ({ unexpected }) => unexpected !== undefined),
    ...(strangers.length > 0
      ? [violation('strangers', `${strangers.length} keys, such as ${strangers[0]}`)]
      : []),
  ];
}

function checkSettled(history: History, truth: Truth): Violation[] {
  return broken(
    'settled',
    history.operations.filter((operation) => isKeyed(operation) && operation.outcome !== 'refused'),
    (one) => one.outcome === 'unknown' || keptOf(one, history, truth) === undefined,
  );
}

/**
 * What was resent was counted just before if, and only if, its answer says so.
 *
 * @param before what had been counted before anything was sent again
 */
export function checkReplays(resent: readonly Operation[], { counted }: Truth): Violation[] {
  const answered = resent.filter(({ outcome }) => outcome === 'acknowledged');
  return broken('replays', answered, (one) => (one.replayed ?? false) !== counted.has(keyIdOf(one)));
}

/** The rules for the history of a counter that is shared. */
function checkCounter(
  name: string,
  adds: CounterAdd[],
  { reads, failovers }: History,
  { values }: Truth,
): Violation[] {
  const value = values.get(name) ?? 0;
  const end = Number.MAX_SAFE_INTEGER;
  const broke = (rule: Violation['rule']) => (text: string) => violation(rule, `${name}: ${text}`);
  const sum = adds.reduce((total, { outcome, by }) => total + (outcome === 'acknowledged' ? by : 0), 0);
  const grows = adds.every(({ by }) => by === 1);
  const ofIt = reads.filter((read) => read.name === name);
  return [
    ...(name !== UNKEYED && sum !== value ? [broke('sum')(`counted ${sum}, but it is ${value}`)] : []),
    ...(name === STOCK.name ? checkStock(adds).map(broke('bounds')) : []),
    ...(isTickets(name) ? checkTickets(adds).map(broke('tickets')) : []),
    ...(grows ? checkValues(0, adds).map(broke('values')) : []),
    ...(grows ? checkReads(adds, ofIt, failovers).map(broke('reads')) : []),
    ...checkBound(0, adds, [{ startedAt: end, endedAt: end, value }]).map(broke('bound')),
  ];
}

function checkStock(adds: readonly CounterAdd[]): string[] {
  const outside = adds.find(({ value = STOCK.min }) => value < STOCK.min || value > STOCK.max);
  return outside ? [`an increment wrote ${outside.value}; its bounds are ${STOCK.min} and ${STOCK.max}`] : [];
}

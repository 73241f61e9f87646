import type { History, Truth } from '../journal/history.ts';
import { documentOf, isDocument, MISSING, type Operation } from '../journal/operation.ts';
import { type Violation, violation } from './violation.ts';

/** How often a state came about and was replaced: as was acknowledged, and as is possible. */
interface Turnover {
  came: number;
  mayHaveCome: number;
  went: number;
  mayHaveGone: number;
}

/**
 * Compares what became of counters that are set and deleted on conditions with a model: a path of states, from missing
 * to what it is in the end. Each value is written by one request only, so a request that replaces it has seen that one. A
 * state is replaced at most as often as it came about, and what came about is replaced or still there.
 */
export function checkDocuments({ operations }: History, { values }: Truth): Violation[] {
  const documents = Map.groupBy(operations.filter(isDocument), ({ id }) => documentOf(id));
  return [...documents].flatMap(([name, changes]) => {
    const end = values.get(name);
    const texts = [
      ...checkStates(changes, end === undefined ? MISSING : String(end)),
      ...checkOrder(changes),
    ];
    return texts.map((text) => violation('documents', `${name}: ${text}`));
  });
}

/** What a change leads to. */
const stateAfter = ({ id, kind }: Operation): string => (kind === 'delete' ? MISSING : String(id));

function checkStates(changes: readonly Operation[], end: string): string[] {
  const states = new Map<string, Turnover>();
  const of = (state: string): Turnover => {
    const known = states.get(state) ?? { came: 0, mayHaveCome: 0, went: 0, mayHaveGone: 0 };
    states.set(state, known);
    return known;
  };
  of(MISSING).came += 1;
  of(MISSING).mayHaveCome += 1;
  of(end).went += 1;
  of(end).mayHaveGone += 1;
  for (const change of changes) {
    if (change.outcome === 'refused') continue;
    const [before, after] = [of(change.about ?? MISSING), of(stateAfter(change))];
    before.mayHaveGone += 1;
    after.mayHaveCome += 1;
    if (change.outcome !== 'acknowledged') continue;
    before.went += 1;
    after.came += 1;
  }
  return [...states].flatMap(([state, { came, mayHaveCome, went, mayHaveGone }]) => [
    ...(went > mayHaveCome ? [`${state} was replaced or is there ${went} times, of ${mayHaveCome}`] : []),
    ...(came > mayHaveGone ? [`${state} was acknowledged, is not there and was not replaced`] : []),
  ]);
}

/** No value is replaced before it was asked for. */
function checkOrder(changes: readonly Operation[]): string[] {
  const writers = new Map(changes.map((change) => [stateAfter(change), change]));
  return changes.flatMap(({ outcome, about = MISSING, endedAt }) => {
    const writer = about === MISSING ? undefined : writers.get(about);
    return outcome === 'acknowledged' && writer && endedAt < writer.startedAt
      ? [`${about} was replaced before it was written`]
      : [];
  });
}

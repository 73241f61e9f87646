import type { History, Truth } from '../journal/history.ts';
import { documentOf, isDocument, MISSING, type Operation } from '../journal/operation.ts';
import { type Violation, violation } from './violation.ts';

/** How often a state was reached and replaced: at least (acknowledged changes), and at most (unknown changes included). */
interface Transitions {
  reachedMin: number;
  reachedMax: number;
  replacedMin: number;
  replacedMax: number;
}

/**
 * Checks the counters that are set and deleted conditionally, against a model: a path of states from missing to the final
 * state. Each value is written by one request only, so a request that replaces a value must have read it. A state is
 * replaced at most as often as it was reached, and a state that was reached is replaced or is the final state.
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

/** The state after a change. */
const stateAfter = ({ id, kind }: Operation): string => (kind === 'delete' ? MISSING : String(id));

function checkStates(changes: readonly Operation[], end: string): string[] {
  const states = new Map<string, Transitions>();
  const of = (state: string): Transitions => {
    const known = states.get(state) ?? { reachedMin: 0, reachedMax: 0, replacedMin: 0, replacedMax: 0 };
    states.set(state, known);
    return known;
  };
  // The path starts with the missing document. Its end counts as one more replacement of the final state.
  of(MISSING).reachedMin += 1;
  of(MISSING).reachedMax += 1;
  of(end).replacedMin += 1;
  of(end).replacedMax += 1;
  for (const change of changes) {
    if (change.outcome === 'refused') continue;
    const [before, after] = [of(change.about ?? MISSING), of(stateAfter(change))];
    before.replacedMax += 1;
    after.reachedMax += 1;
    if (change.outcome !== 'acknowledged') continue;
    before.replacedMin += 1;
    after.reachedMin += 1;
  }
  return [...states].flatMap(([state, { reachedMin, reachedMax, replacedMin, replacedMax }]) => [
    ...(replacedMin > reachedMax
      ? [
          `state ${state} was replaced or is final ${replacedMin} times, but was written at most ${reachedMax} times`,
        ]
      : []),
    ...(reachedMin > replacedMax
      ? [`state ${state} was acknowledged, but is neither replaced nor final`]
      : []),
  ]);
}

/** Checks that no value is replaced before the request that writes it is sent. */
function checkOrder(changes: readonly Operation[]): string[] {
  const writers = new Map(changes.map((change) => [stateAfter(change), change]));
  return changes.flatMap(({ outcome, about = MISSING, endedAt }) => {
    const writer = about === MISSING ? undefined : writers.get(about);
    return outcome === 'acknowledged' && writer && endedAt < writer.startedAt
      ? [`state ${about} was replaced before it was written`]
      : [];
  });
}

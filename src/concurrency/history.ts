/**
 * The outcome of an increment as its caller knows it: `unknown` means that it may or may not have been applied (the
 * connection was lost while the commit was in flight).
 */
export type Outcome = 'acknowledged' | 'refused' | 'unknown';

/** An operation that added `by`, from its request to its answer. All times are of the same clock, in any unit. */
export interface Add {
  startedAt: number;
  endedAt: number;
  by: number;
  outcome: Outcome;
  /** The value that it reports as written, if it reports one. */
  value?: number;
}

/** One read of the counter. */
export interface Read {
  startedAt: number;
  endedAt: number;
  value: number;
}

/** The rules of a counter that the history violates, in words; empty if there are none. */
type Violations = string[];

/**
 * Checks every read against its bounds: it must include all adds acknowledged before it, and nothing that was never
 * attempted. An add with an unknown outcome remains possible forever. Source: the counter checker of Jepsen
 * (jepsen.checker/counter), here with adds of either sign.
 *
 * @param initial the value before the first operation
 */
export function checkBound(initial: number, adds: readonly Add[], reads: readonly Read[]): Violations {
  const possible = adds.filter((add) => add.outcome !== 'refused');
  return reads.flatMap(({ startedAt, endedAt, value }) => {
    let lower = initial;
    let upper = initial;
    for (const add of possible) {
      // Acknowledged before the read began: included. Begun before the read ended: possibly included.
      const settled = add.outcome === 'acknowledged' && add.endedAt < startedAt;
      const begun = add.startedAt <= endedAt;
      if (settled || (begun && add.by < 0)) lower += add.by;
      if (settled || (begun && add.by > 0)) upper += add.by;
    }
    return value >= lower && value <= upper
      ? []
      : [`read ${value}, but it had to lie between ${lower} and ${upper}`];
  });
}

/**
 * Checks the stronger rule for increments by 1 that report the value they wrote: all values differ; without unknown
 * outcomes they are exactly the numbers after `initial`; and an increment that ended before another began wrote less.
 */
export function checkValues(initial: number, adds: readonly Add[]): Violations {
  const acknowledged = adds.filter((add) => add.outcome === 'acknowledged').map(valued);
  const violations: Violations = [];
  const pair = witness(adds);
  if (pair) violations.push(`two increments wrote ${pair[0].value}`);
  const most = initial + adds.filter(({ outcome }) => outcome !== 'refused').length;
  const stray = acknowledged.find(({ value }) => value <= initial || value > most);
  if (stray)
    violations.push(
      `an increment wrote ${stray.value}, but it had to lie between ${initial + 1} and ${most}`,
    );
  if (adds.every((add) => add.outcome !== 'unknown')) {
    const values = new Set(acknowledged.map((add) => add.value));
    const missing = acknowledged.map((_, i) => initial + 1 + i).find((value) => !values.has(value));
    if (missing !== undefined) violations.push(`no increment wrote ${missing}`);
  }
  return [...violations, ...orderViolations(acknowledged)];
}

/**
 * Two acknowledged increments that wrote the same value: the proof that one of them was lost. Prefers two that ran at
 * the same time, since they show how it happened.
 */
export function witness<A extends Add>(adds: readonly A[]): [A, A] | undefined {
  const writers = Map.groupBy(
    adds.filter(({ outcome, value }) => outcome === 'acknowledged' && value !== undefined),
    ({ value }) => value,
  );
  const pairs = [...writers.values()].flatMap((same) =>
    same.slice(1).map((add, i): [A, A] => [same[i] ?? add, add]),
  );
  return pairs.find(([a, b]) => a.startedAt < b.endedAt && b.startedAt < a.endedAt) ?? pairs[0];
}

function valued(add: Add): Add & { value: number } {
  if (add.value === undefined) throw new TypeError('an acknowledged increment without a value');
  return { ...add, value: add.value };
}

/** Each increment must have written more than every increment that had ended before it began. */
function orderViolations(acknowledged: readonly (Add & { value: number })[]): Violations {
  const byStart = acknowledged.toSorted((a, b) => a.startedAt - b.startedAt);
  const byEnd = acknowledged.toSorted((a, b) => a.endedAt - b.endedAt);
  let ended = 0;
  let highest: (Add & { value: number }) | undefined;
  for (const add of byStart) {
    for (let next = byEnd[ended]; next && next.endedAt < add.startedAt; next = byEnd[ended]) {
      if (!highest || next.value > highest.value) highest = next;
      ended += 1;
    }
    if (highest && highest.value >= add.value) {
      return [
        `an increment wrote ${add.value} although another, ended before it began, had written ${highest.value}`,
      ];
    }
  }
  return [];
}

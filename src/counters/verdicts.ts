import { Problem } from '../errors/problem.ts';
import { compose, type PendingIncrement, type PendingRequest } from './batch.ts';
import { VALUE_MAX } from './counter.ts';
import type { Answer } from './request.ts';
import type { SelectiveBatch } from './selection.ts';
import { counterNamed, quoted } from './windows.ts';

/** A counter that the statement has locked: its value at this point of the batch, and its bounds. */
interface Locked {
  value: bigint;
  min: bigint;
  max: bigint;
}

/**
 * Returns the decision of the statement on each request, in their order. The record of the statement consists of the
 * values of all counters before the batch, their lowest allowed values, their highest allowed values, and, for each
 * request in the order of the selection, what was added: the amount of a partial request; 1 (all) or 0 (nothing) for any
 * other.
 */
export function verdictsOf(
  { requests, selection }: SelectiveBatch,
  record: readonly bigint[],
): (Answer | Problem)[] {
  const { counters, order } = selection;
  const count = counters.length;
  const states = new Map(
    counters.map(({ name }, i): [string, Locked] => {
      const [value = 0n, min = 0n, max = 0n] = [record[i], record[i + count], record[i + 2 * count]];
      return [name, { value, min, max }];
    }),
  );
  const verdicts: (Answer | Problem)[] = [];
  for (const [i, index] of order.entries()) {
    verdicts[index] = verdictOn(requests[index] as PendingRequest, record[3 * count + i] ?? 0n, states);
  }
  return verdicts;
}

/** The answer to one request. Applies it to `states` as the statement applied it in the database. */
function verdictOn(
  { increments, partial }: PendingRequest,
  taken: bigint,
  states: ReadonlyMap<string, Locked>,
): Answer | Problem {
  if (!partial && taken === 0n) return refusal(increments, states);
  const values = increments.map(({ name, by }) => {
    const state = states.get(name) as Locked;
    state.value += partial ? taken : BigInt(by);
    return Number(state.value);
  });
  return { values: partial ? [...values, Number(taken)] : values, replayed: false };
}

/** The refusal of a request: names the first counter whose bounds it would leave, and how much would fit. */
function refusal(increments: PendingRequest['increments'], states: ReadonlyMap<string, Locked>): Problem {
  for (const { name, low, high } of compose([{ increments }]).deltas) {
    const { value, min, max } = states.get(name) as Locked;
    if (value + high > max) return leavesBounds(name, { value, min, max }, { wanted: high, limit: max });
    if (value + low < min) return leavesBounds(name, { value, min, max }, { wanted: low, limit: min });
  }
  return leavesOwnBounds(increments, states);
}

/** The refusal of a request with an increment that would leave the bounds sent with it. */
function leavesOwnBounds(
  increments: PendingRequest['increments'],
  states: ReadonlyMap<string, Locked>,
): Problem {
  const sums = new Map<string, bigint>();
  for (const { name, by, min, max } of increments) {
    const start = (states.get(name) as Locked).value;
    const before = start + (sums.get(name) ?? 0n);
    const after = before + BigInt(by);
    const sum = after - start;
    sums.set(name, sum);
    const isAbove = max !== undefined && after > max;
    if (!isAbove && (min === undefined || after >= min)) continue;
    const limit = BigInt((isAbove ? max : min) ?? 0);
    const room = limit - before;
    const fits = isAbove === room > 0n ? room : 0n;
    return new Problem(
      'out_of_bounds',
      `${quoted(name)} is ${before}, and the ${isAbove ? 'max' : 'min'} of the increment is ${limit}: ${fits} would fit, not ${by}`,
      { members: membersOf(name, before, { min, max }, fits), ...retryAfter(name, sum, { min, max }) },
    );
  }
  throw new Error('a request that fits was refused');
}

type OwnBounds = Pick<PendingIncrement, 'min' | 'max'>;

/** The members of the problem that programs can evaluate. */
function membersOf(name: string, value: bigint, bounds: OwnBounds, fits: bigint) {
  const { counter, window } = counterNamed(name);
  return {
    name: counter,
    ...(window === undefined ? {} : { window }),
    value: Number(value),
    ...bounds,
    fits: Number(fits),
  };
}

/** The time until the next window, if the increments up to this one, `sum`, fit into a window without others. */
function retryAfter(name: string, sum: bigint, { min, max }: OwnBounds): { retryAfterS?: number } {
  const { end } = counterNamed(name);
  const fits = (min === undefined || sum >= min) && (max === undefined || sum <= max);
  return end === undefined || !fits ? {} : { retryAfterS: Math.max(1, Math.ceil((end - Date.now()) / 1000)) };
}

/** @param limit the bound that the value would exceed if `wanted` were added: the counter's, or that of all counters */
function leavesBounds(
  name: string,
  { value, min, max }: Locked,
  { wanted, limit }: { wanted: bigint; limit: bigint },
): Problem {
  if (limit === HIGHEST || limit === -HIGHEST) {
    return new Problem(
      'out_of_range',
      `${quoted(name)} is ${value} and would leave the range from -${VALUE_MAX} to ${VALUE_MAX}`,
    );
  }
  const fits = limit - value;
  const bounds = {
    ...(min === -HIGHEST ? {} : { min: Number(min) }),
    ...(max === HIGHEST ? {} : { max: Number(max) }),
  };
  return new Problem(
    'out_of_bounds',
    `${quoted(name)} is ${value}, and its ${limit === max ? 'max' : 'min'} is ${limit}: ${fits} would fit, not ${wanted}`,
    { members: membersOf(name, value, bounds, fits) },
  );
}

const HIGHEST = BigInt(VALUE_MAX);

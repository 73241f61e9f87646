import { Problem } from '../errors/problem.ts';
import { compose, type PendingRequest } from './batch.ts';
import { VALUE_MAX } from './counter.ts';
import type { Answer } from './request.ts';
import type { SelectiveBatch } from './selection.ts';
import { counterNamed, quoted } from './windows.ts';

/** A counter under the lock of the statement: its value at this point of the batch, and what it may be. */
interface Locked {
  value: bigint;
  min: bigint;
  max: bigint;
}

/**
 * What the statement decided on each request, in their order. Its record says for each counter what it found there
 * (the values, the lowest allowed, the highest allowed), and for each request, as the selection sorts them, what it took: the
 * amount of a partial request; 1 or 0, all or nothing, of any other.
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
    verdicts[index] = replay(requests[index] as PendingRequest, record[3 * count + i] ?? 0n, states);
  }
  return verdicts;
}

/** The answer to one request, whose effect on `states` is what it was in the database. */
function replay(
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

/** Says which counter is in the way, and how much of the request would fit there. */
function refusal(increments: PendingRequest['increments'], states: ReadonlyMap<string, Locked>): Problem {
  for (const { name, low, high } of compose([{ increments }]).deltas) {
    const { value, min, max } = states.get(name) as Locked;
    if (value + high > max) return leaves(name, { value, min, max }, { wanted: high, limit: max });
    if (value + low < min) return leaves(name, { value, min, max }, { wanted: low, limit: min });
  }
  return leavesItsOwn(increments, states);
}

/** Says which increment would leave the bounds that came with it. */
function leavesItsOwn(
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
      { ...membersOf(name, before, { min, max }, fits), ...retryAfter(name, sum, { min, max }) },
    );
  }
  throw new Error('a request was refused that fits');
}

interface OwnBounds {
  min?: number | undefined;
  max?: number | undefined;
}

/** What a program may want to know about a refusal. */
function membersOf(name: string, value: bigint, bounds: OwnBounds, fits: bigint) {
  const { counter, window } = counterNamed(name);
  return {
    members: {
      name: counter,
      ...(window === undefined ? {} : { window }),
      value: Number(value),
      ...bounds,
      fits: Number(fits),
    },
  };
}

/** The time until the next window, if the increments up to this one, `sum`, fit into a window without others. */
function retryAfter(name: string, sum: bigint, { min, max }: OwnBounds): { retryAfterS?: number } {
  const { end } = counterNamed(name);
  const fits = (min === undefined || sum >= min) && (max === undefined || sum <= max);
  return end === undefined || !fits ? {} : { retryAfterS: Math.max(1, Math.ceil((end - Date.now()) / 1000)) };
}

/** @param limit what the value would pass if `wanted` were added: the counter's own bound, or that of all counters */
function leaves(
  name: string,
  { value, min, max }: Locked,
  { wanted, limit }: { wanted: bigint; limit: bigint },
): Problem {
  if (limit === HIGHEST || limit === -HIGHEST) {
    return new Problem(
      'out_of_range',
      `${quoted(name)} is ${value}, and would leave the range from -${VALUE_MAX} to ${VALUE_MAX}`,
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
    membersOf(name, value, bounds, fits),
  );
}

const HIGHEST = BigInt(VALUE_MAX);

import { goingElsewhere } from '../database/elsewhere.ts';
import { codeOf } from '../errors/caught.ts';
import { Problem } from '../errors/problem.ts';
import type { Ask } from './ask.ts';
import { type CounterRow, type CounterState, stateOf } from './counter.ts';
import type { Precondition } from './preconditions.ts';
import { assertValue } from './range.ts';
import { prepared } from './statements.ts';

/** What a counter is to be; what is not given stays as it is. */
export type Change = Partial<CounterState>;

/**
 * @throws {Problem} `out_of_range` when a number is not one that a counter can hold; `invalid_request` when the change
 *   contradicts itself
 */
export function assertChange({ value, min, max }: Change): void {
  const lowToHigh = Object.entries({ min, value, max }).filter(
    (entry): entry is [string, number] => entry[1] != null,
  );
  for (const [field, number] of lowToHigh) assertValue(field, number);
  for (const [i, [field, number]] of lowToHigh.entries()) {
    const [before, least] = lowToHigh[i - 1] ?? [field, number];
    if (number >= least) continue;
    throw new Problem(
      'invalid_request',
      `${field} is ${number} and ${before} is ${least}; allowed: min up to value, and value up to max`,
    );
  }
}

/**
 * Changes a counter in one statement, of which the precondition is a part: nothing comes between looking and changing.
 *
 * @returns what it is now; undefined: it was not as the precondition says
 * @throws {Problem} `out_of_bounds` when its value would not be within its bounds
 */
export async function set(
  ask: Ask,
  name: string,
  change: Change,
  precondition: Precondition,
): Promise<CounterState | undefined> {
  const { value, min, max } = change;
  try {
    const [row] = await goingElsewhere(() =>
      precondition === 'missing'
        ? ask<CounterRow>(CREATE, [name, value ?? 0, min ?? null, max ?? null])
        : ask<CounterRow>(CHANGE, [
            name,
            ...statesOf(precondition),
            value ?? null,
            min !== undefined,
            min ?? null,
            max !== undefined,
            max ?? null,
          ]),
    );
    return row && stateOf(row);
  } catch (error) {
    if (codeOf(error) !== CHECK_VIOLATION) throw error;
    throw new Problem(
      'out_of_bounds',
      `with ${JSON.stringify(change)} the value of ${JSON.stringify(name)} would not be within its bounds`,
      { cause: error },
    );
  }
}

/** @returns whether it was as the precondition says, and is gone */
export async function remove(ask: Ask, name: string, precondition: Existing): Promise<boolean> {
  const removed = await goingElsewhere(() => ask(REMOVE, [name, ...statesOf(precondition)]));
  return removed.length > 0;
}

type Existing = Exclude<Precondition, 'missing'>;

/** The parameters $2 to $4: the values, lowest and highest values of the states it may be in; null: in any. */
const statesOf = (precondition: Existing): unknown[] =>
  precondition === 'exists'
    ? [null, null, null]
    : (['value', 'min', 'max'] as const).map((field) => precondition.oneOf.map((state) => state[field]));

const IS_AS_EXPECTED = `
  c.name = $1 and ($2::bigint[] is null or exists (
    select from unnest($2::bigint[], $3::bigint[], $4::bigint[]) as s (value, min, max)
    where (c.value, c.min, c.max) is not distinct from (s.value, s.min, s.max)))`;

const CREATE = prepared(
  'create',
  `
  insert into counters (name, value, min, max) values ($1, $2, $3, $4)
  on conflict (name) do nothing
  returning value, min, max`,
);

const CHANGE = prepared(
  'change',
  `
  update counters as c
  set value = coalesce($5::bigint, c.value),
      min = case when $6::boolean then $7::bigint else c.min end,
      max = case when $8::boolean then $9::bigint else c.max end
  where ${IS_AS_EXPECTED}
  returning c.value, c.min, c.max`,
);

const REMOVE = prepared('remove', `delete from counters as c where ${IS_AS_EXPECTED} returning c.name`);

const CHECK_VIOLATION = '23514';

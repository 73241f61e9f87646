import { type EntityManager, UniqueConstraintViolationException } from '@mikro-orm/postgresql';
import { codeOf } from '../errors/caught.ts';
import { Problem } from '../errors/problem.ts';
import { Counter, type CounterState, stateOf } from './counter.ts';
import type { Precondition } from './preconditions.ts';
import { assertValue } from './range.ts';

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
  em: EntityManager,
  name: string,
  change: Change,
  precondition: Precondition,
): Promise<CounterState | undefined> {
  try {
    return await (precondition === 'missing'
      ? insert(em, name, change)
      : update(em, name, change, precondition));
  } catch (error) {
    if (error instanceof UniqueConstraintViolationException) return undefined;
    if (codeOf(error) !== CHECK_VIOLATION) throw error;
    throw new Problem(
      'out_of_bounds',
      `with ${JSON.stringify(change)} the value of ${JSON.stringify(name)} would not be within its bounds`,
      { cause: error },
    );
  }
}

/** @returns whether it was as the precondition says, and is gone */
export async function remove(em: EntityManager, name: string, precondition: Existing): Promise<boolean> {
  return isNever(precondition) ? false : (await em.nativeDelete(Counter, as(name, precondition))) > 0;
}

async function insert(em: EntityManager, name: string, change: Change): Promise<CounterState> {
  const state = { value: 0, min: null, max: null, ...change };
  await em.insert(Counter, { name, ...state });
  return state;
}

async function update(
  em: EntityManager,
  name: string,
  change: Change,
  precondition: Existing,
): Promise<CounterState | undefined> {
  if (isNever(precondition)) return undefined;
  const query = em.createQueryBuilder(Counter).update(change).where(as(name, precondition));
  const { row } = await query.returning(['value', 'min', 'max']).execute();
  return row && stateOf(row);
}

type Existing = Exclude<Precondition, 'missing'>;

const as = (name: string, precondition: Existing) =>
  precondition === 'exists' ? { name } : { name, $or: precondition.oneOf };

/** Without a state that it may be in. The ORM takes an empty choice for none at all. */
const isNever = (precondition: Existing): boolean =>
  precondition !== 'exists' && precondition.oneOf.length === 0;

const CHECK_VIOLATION = '23514';

import { hash } from 'node:crypto';
import { RetriesExhaustedError, retry } from '../concurrency/retry.ts';
import { retryWhileReadOnly } from '../database/read-only-retry.ts';
import { failureOf, isConflict } from '../database/failure.ts';
import { codeOf } from '../errors/caught.ts';
import { Problem } from '../errors/problem.ts';
import type { Ask } from './ask.ts';
import { type Changed, type CounterState, type ExpectedState, timestamp } from './counter.ts';
import type { Precondition } from './preconditions.ts';
import { assertValue } from './range.ts';
import { keyReused } from './request.ts';
import { ALIVE, EXPIRES, PATIENCE, prepared } from './statements.ts';

/** The new state of a counter; fields that are not given do not change. */
export type Change = Partial<CounterState>;

/**
 * @throws {Problem} `out_of_range` when a counter cannot hold one of the numbers; `invalid_request` when the change
 *   contradicts itself
 */
export function assertChange({ value, min, max, expiresAt }: Change): void {
  if (expiresAt != null) assertTimestamp(expiresAt);
  const lowToHigh = Object.entries({ min, value, max }).filter(
    (entry): entry is [string, number] => entry[1] != null,
  );
  for (const [field, number] of lowToHigh) assertValue(field, number);
  for (const [i, [field, number]] of lowToHigh.entries()) {
    const [lowerField, lower] = lowToHigh[i - 1] ?? [field, number];
    if (number >= lower) continue;
    throw new Problem(
      'invalid_request',
      `${field} is ${number} and ${lowerField} is ${lower}; allowed: min <= value <= max`,
    );
  }
}

/** @throws {Problem} `invalid_request` unless the text is a timestamp of RFC 3339, from 1970 to 9999 */
function assertTimestamp(text: string): void {
  if (isTimestamp(text)) return;
  throw new Problem(
    'invalid_request',
    `expires_at is ${JSON.stringify(text)?.slice(0, 40)}; allowed: a date and time with a time zone (RFC 3339, without leap seconds), from 1970 to 9999, such as 2027-01-31T12:00:00Z`,
  );
}

const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i;

/** The last millisecond of 9999: later years have more digits, which PostgreSQL does not read. */
const EXPIRY_MAX = Date.parse('9999-12-31T23:59:59.999Z');

function isTimestamp(text: unknown): text is string {
  if (typeof text !== 'string' || !TIMESTAMP.test(text)) return false;
  const ms = Date.parse(text);
  // JavaScript takes February 30 for March 2, and 24:00 for the next day.
  const asWritten = text.slice(0, 19).toUpperCase();
  const parsed = new Date(`${asWritten}Z`);
  return ms >= 0 && ms <= EXPIRY_MAX && parsed.toISOString().startsWith(asWritten);
}

/** @throws {Problem} `invalid_request` when its expiry is not a timestamp */
export function expectedState({ value, min = null, max = null, expiresAt }: ExpectedState): CounterState {
  for (const [field, number] of Object.entries({ value, min, max }))
    if (number !== null || field === 'value') assertValue(field, number as number);
  if (expiresAt != null) assertTimestamp(expiresAt);
  return { value, min, max, expiresAt: expiresAt ?? null };
}

/** A request to change a counter. */
export interface ChangeRequest {
  name: string;
  change: Change;
  precondition: Precondition;
  /** The idempotency key: however often the request is sent with it, the change is made once. */
  key?: string | undefined;
}

/**
 * Changes a counter in one statement that also checks the precondition: no other change can come between the check and
 * the write.
 *
 * @param keyHours how long the key is kept, in hours
 * @returns the state after the change; undefined: the precondition did not hold
 * @throws {Problem} `out_of_bounds` when the value would be out of its bounds; `key_reused` when the key was used for a
 *   different request
 */
export async function set(ask: Ask, request: ChangeRequest, keyHours: number): Promise<Changed | undefined> {
  const { name, change, precondition, key = null } = request;
  const { value, min, max, expiresAt } = change;
  const expiry = expiresAt == null ? null : timestamp(Date.parse(expiresAt));
  const fingerprint = fingerprintOf(request);
  const keyed = [key, fingerprint, keyHours];
  const write = () =>
    precondition === 'missing'
      ? ask<AnswerRow>(CREATE, [...keyed, name, value ?? 0, min ?? null, max ?? null, expiry])
      : ask<AnswerRow>(CHANGE, [
          ...keyed,
          name,
          statesOf(precondition),
          value ?? null,
          min !== undefined,
          min ?? null,
          max !== undefined,
          max ?? null,
          expiresAt !== undefined,
          expiry,
        ]);
  try {
    const [row] = await persist(() => (key === null ? write() : retryOnce(write)));
    return row && changedOf(row, fingerprint);
  } catch (error) {
    if (key !== null && failureOf(error) === 'unknown') {
      throw new Problem(
        'outcome_unknown',
        'the connection to the database broke during the commit; send the request again with the same Idempotency-Key: the change is made once',
        { cause: error },
      );
    }
    if (codeOf(error) !== CHECK_VIOLATION) throw error;
    throw new Problem(
      'out_of_bounds',
      `the change ${JSON.stringify(change)} would put the value of ${JSON.stringify(name)} out of its bounds`,
      { cause: error },
    );
  }
}

/** For changes that conflict, as they do at REPEATABLE READ and SERIALIZABLE. */
const CONFLICT_RETRY = { attemptsMax: 20, elapsedMsMax: 5000, delayMsBase: 1, delayMsMax: 100 };

/** Repeats a change while nothing was applied and another attempt, which decides on the state that it sees, can succeed. */
const persist = <T>(change: () => Promise<T>): Promise<T> =>
  retryWhileReadOnly(async () => {
    try {
      return await retry(change, { ...CONFLICT_RETRY, retryable: isConflict });
    } catch (error) {
      throw error instanceof RetriesExhaustedError ? error.cause : error;
    }
  });

/**
 * A statement sees keys as they were when it began. While it waited for a lock, the same request may have committed on
 * another connection. Then this statement violates the uniqueness of the key, or finds the counter changed, and a second
 * statement finds the key.
 */
async function retryOnce<Row>(write: () => Promise<Row[]>): Promise<Row[]> {
  try {
    const rows = await write();
    if (rows.length > 0) return rows;
  } catch (error) {
    const code = codeOf(error);
    if (code !== UNIQUE_VIOLATION && code !== CHECK_VIOLATION) throw error;
  }
  return write();
}

/** A digest that distinguishes different changes from each other, and changes from increments. */
function fingerprintOf({ name, change, precondition }: ChangeRequest): string {
  const { value, min, max, expiresAt } = change;
  const bounds = [min, max].map((bound) => (bound === null ? 'none' : bound));
  const parts = [name, value, ...bounds, precondition, ...(expiresAt === undefined ? [] : [expiresAt])];
  // Without an expiry, the fingerprint is the one that earlier versions of the service stored.
  const text = JSON.stringify(parts, (field, part) =>
    field === 'expiresAt' && part === null ? undefined : part,
  );
  return hash('sha256', `put ${text}`, 'base64url').slice(0, 22);
}

/** An `Answer` as JSON, in text, since an application may have configured how the driver parses other types. */
interface AnswerRow {
  answer: string;
}

interface Answer {
  request: string;
  /** The value, the bounds, the value that was replaced, and the expiry in milliseconds since 1970. */
  values: (number | null)[];
  replayed: boolean;
}

/** @throws {Problem} `key_reused` when the answer is that to a request with another fingerprint */
function changedOf({ answer }: AnswerRow, fingerprint: string): Changed {
  const { request, values, replayed } = JSON.parse(answer) as Answer;
  if (request !== fingerprint) throw keyReused();
  const [value, min = null, max = null, replaced = null, expiry = null] = values;
  const expiresAt = expiry === null ? null : timestamp(expiry);
  return { value: value ?? 0, min, max, expiresAt, replaced, replayed };
}

/** Deletes a counter. @returns false: the precondition did not hold */
export async function remove(ask: Ask, name: string, precondition: Existing): Promise<boolean> {
  const removed = await persist(() => ask(REMOVE, [name, statesOf(precondition)]));
  return removed.length > 0;
}

export type Existing = Exclude<Precondition, 'missing'>;

/**
 * The states that meet the precondition, as JSON; null: all states do. (In an array, a session could read a null as text:
 * `array_nulls`.)
 */
function statesOf(precondition: Existing): string | null {
  if (precondition === 'exists') return null;
  const states = precondition.oneOf.map(({ expiresAt, ...state }) => ({
    ...state,
    expires: expiresAt === null ? null : Date.parse(expiresAt),
  }));
  return JSON.stringify(states);
}

/** @param at the number of the parameter with the name; that of `statesOf` follows it */
const isAsExpected = (
  at: number,
): string => `c.name = $${at} and ${ALIVE} and ($${at + 1}::json is null or exists (
    select from json_to_recordset($${at + 1}::json) as s (value bigint, min bigint, max bigint, expires bigint)
    where (c.value, c.min, c.max, ${EXPIRES}) is not distinct from (s.value, s.min, s.max, s.expires)))`;

/*
 * Both statements that set a counter have their first parameters and their last part in common: $1, the key; $2, the
 * fingerprint of the request; $3, how many hours to keep the key. If the key is known, nothing is changed, and the row of
 * the key is rewritten unchanged, so that this answer, too, waits for synchronous standbys.
 */
const KNOWN = `
  ${PATIENCE},
  known as materialized (select request, "values" from idempotency_keys where key = $1),
  touched as (update idempotency_keys set expires_at = expires_at where key = $1)`;

const KEPT = `
  kept as (
    insert into idempotency_keys (key, request, "values", expires_at)
    select $1, $2, "values", now() + $3 * interval '1 hour' from changed where $1::text is not null
  )
  select json_build_object('request', request, 'values', "values", 'replayed', true)::text as answer from known
  union all
  select json_build_object('request', $2::text, 'values', "values", 'replayed', false)::text from changed`;

/** The rows that a change can create: a counter and a key. */
const CREATES = 2;

/** $4 to $8: the counter, its value, its bounds and its expiry. An expired counter is replaced. */
const CREATE = prepared(
  'create',
  `
  with ${KNOWN},
  changed as (
    insert into counters as c (name, value, min, max, expires_at)
    select $4::text, $5::bigint, $6::bigint, $7::bigint, $8::timestamptz
    where (select ms from patience) is not null and not exists (select from known)
    on conflict (name) do update
    set value = excluded.value, min = excluded.min, max = excluded.max, expires_at = excluded.expires_at
    where c.expires_at <= now()
    returning array[c.value, c.min, c.max, null, ${EXPIRES}] as "values"
  ),
  ${KEPT}`,
  CREATES,
);

/** $4: the counter; $5: the states that meet the precondition; $6 to $12: the new state. */
const CHANGE = prepared(
  'change',
  `
  with ${KNOWN},
  target as materialized (
    select c.name, c.value from counters as c
    where (select ms from patience) is not null and not exists (select from known) and ${isAsExpected(4)}
    for no key update
  ),
  changed as (
    update counters as c
    set value = coalesce($6::bigint, c.value),
        min = case when $7::boolean then $8::bigint else c.min end,
        max = case when $9::boolean then $10::bigint else c.max end,
        expires_at = case when $11::boolean then $12::timestamptz else c.expires_at end
    from target as t
    where c.name = t.name
    returning array[c.value, c.min, c.max, t.value, ${EXPIRES}] as "values"
  ),
  ${KEPT}`,
  CREATES,
);

const REMOVE = prepared(
  'remove',
  `
  with ${PATIENCE}
  delete from counters as c where (select ms from patience) is not null and ${isAsExpected(1)}
  returning c.name`,
);

const CHECK_VIOLATION = '23514';
const UNIQUE_VIOLATION = '23505';

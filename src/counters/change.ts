import { Problem } from '../errors/problem.ts';
import { assertValue, type CounterState, type ExpectedState } from './counter.ts';

/** The new state of a counter; fields that are not given do not change. */
export type Change = Partial<CounterState>;

/** The condition for a change: the counter is in one of these states, exists, or does not exist. */
export type Precondition = { oneOf: CounterState[] } | 'exists' | 'missing';

/** A request to change or delete a counter. */
export interface ChangeRequest {
  name: string;
  /** Undefined: the counter is deleted. */
  change: Change | undefined;
  precondition: Precondition;
  /** The idempotency key: however often the request is sent with it, the change is made once. */
  key?: string | undefined;
  /** Whether the client has disconnected; a request whose batch has not begun by then is dropped. */
  abandoned?: () => boolean;
}

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
    if (number !== null || field === 'value') assertValue(field, number);
  if (expiresAt != null) assertTimestamp(expiresAt);
  return { value, min, max, expiresAt: expiresAt ?? null };
}

/** A text that distinguishes different changes from each other, and changes from increments. */
export function fingerprintOfChange({ name, change, precondition }: ChangeRequest): string {
  const { value, min, max, expiresAt } = change ?? {};
  const bounds = [min, max].map((bound) => (bound === null ? 'none' : bound));
  const parts = [name, value, ...bounds, precondition, ...(expiresAt === undefined ? [] : [expiresAt])];
  // Without an expiry, the text is the one of which earlier versions of the service stored the digest.
  const text = JSON.stringify(parts, (field, part) =>
    field === 'expiresAt' && part === null ? undefined : part,
  );
  return `${change ? 'put' : 'delete'} ${text}`;
}

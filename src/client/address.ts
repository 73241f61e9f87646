import { CounterError } from './counter-error.ts';

/** @throws {CounterError} `invalid_request` for a name that, as a segment of a path, would identify another resource */
export function pathOf(name: string): string {
  assertWellFormed(name);
  if (!['', '.', '..'].includes(name)) return `/counters/${encodeURIComponent(name)}`;
  throw badName(name, 'at least 1 character; . and .. only in incrementAll and readAll');
}

/** @throws {CounterError} `invalid_request` for any other text: as a part of a path, it could identify another resource */
export function windowOf(window: string): string {
  if (/^\d+[smhd]$/.test(window)) return window;
  throw invalid(
    `the window is ${shown(window)}; allowed: 1 to 9999 followed by a unit (s, m, h or d), such as 15m`,
  );
}

/**
 * UTF-8 cannot encode a lone surrogate: in a URL it would become another character.
 *
 * @throws {CounterError} `invalid_request`
 */
export function assertWellFormed(name: string): void {
  if (typeof name !== 'string') throw badName(name, 'text');
  if (/\p{Cs}/u.test(name)) throw badName(name, 'no lone surrogates');
}

const badName = (name: unknown, allowed: string): CounterError =>
  invalid(`the name is ${shown(name)}; allowed: ${allowed}`);

/** A value in a message; JSON does not have all of them. */
export const shown = (value: unknown): string =>
  typeof value === 'string' ? JSON.stringify(value) : String(value);

/** The error of a request that cannot be sent. */
export const invalid = (detail: string): CounterError =>
  new CounterError(
    { code: 'invalid_request', title: 'Invalid request', detail },
    { status: undefined, counted: 'no' },
  );

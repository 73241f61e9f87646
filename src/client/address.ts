import { CounterError } from './counter-error.ts';

/** @throws {CounterError} `invalid_request` for a name that, as a segment of a path, would lead to another resource */
export function pathOf(name: string): string {
  assertWellFormed(name);
  if (!['', '.', '..'].includes(name)) return `/counters/${encodeURIComponent(name)}`;
  throw badName(name, 'at least 1 character; . and .. only in incrementAll and readAll');
}

/**
 * UTF-8 cannot encode a lone surrogate: in an address it would become another character.
 *
 * @throws {CounterError} `invalid_request`
 */
export function assertWellFormed(name: string): void {
  if (/\p{Cs}/u.test(name)) throw badName(name, 'no lone surrogates');
}

const badName = (name: string, allowed: string): CounterError =>
  new CounterError(
    {
      code: 'invalid_request',
      title: 'Invalid request',
      detail: `the name is ${JSON.stringify(name)}; allowed: ${allowed}`,
    },
    { status: undefined, counted: 'no' },
  );

import { invalid, shown } from './address.ts';
import type { ClientOptions } from './types.ts';

const MS_MAX = 2 ** 31 - 1;

/** What a header can contain without being changed on the way. */
const VISIBLE = /^[\x21-\x7e]+$/;

/** @throws {CounterError} `invalid_request`, saying what is allowed */
export function assertOptions(
  url: string,
  { token, attemptsMax, timeoutMs, fetch: send }: ClientOptions,
): void {
  if (!isAddress(url, send))
    throw invalid(`the URL is ${shown(url)}; allowed: an address such as http://localhost:3000`);
  if (token !== undefined && !(typeof token === 'string' && VISIBLE.test(token)))
    throw invalid('the token is empty or contains other characters than visible ASCII');
  if (attemptsMax !== Number.POSITIVE_INFINITY) assertWhole('attemptsMax', attemptsMax);
  assertWhole('timeoutMs', timeoutMs);
  if (send !== undefined && typeof send !== 'function') throw invalid('fetch must be a function');
}

/** As the service accepts it: visible characters, or a string of RFC 9651, in which spaces are allowed. */
const KEY = /^(?:[\x21-\x7e]{1,255}|"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,253}")$/;

/** @throws {CounterError} `invalid_request`: as a header, it would be refused, or changed */
export function assertKey(key: unknown): void {
  if (typeof key === 'string' && KEY.test(key)) return;
  throw invalid(
    `the key is ${shown(key)}; allowed: 1 to 255 visible ASCII characters without spaces, such as a UUID, or a string in double quotes`,
  );
}

/** On a page, and for a `fetch` of the caller's, the address may be relative. */
function isAddress(url: unknown, send: unknown): boolean {
  if (typeof url !== 'string') return false;
  if (!/^https?:/i.test(url))
    return send !== undefined || (globalThis as { location?: unknown }).location != null;
  try {
    return new URL(url).href !== '';
  } catch {
    return false;
  }
}

function assertWhole(name: string, value: number | undefined): void {
  if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= MS_MAX)) return;
  throw invalid(`${name} is ${String(value)}; allowed: whole numbers from 1 to ${MS_MAX}`);
}
